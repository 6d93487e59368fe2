"""What an arm weighs before anything runs: trainable parameters, visual tokens, bytes on disk.

Closed forms over the sizes in params.yaml, free of torch; only connectors with queries of their own, and encoders that
are trained themselves, are built on the meta device and counted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from steering.arms import LanguageShape, Settings, VisionShape, steered_layers
from steering.params import PLAIN_ENGINE, Engine, LanguageModel, MethodName, Params, Recipe, VisionEncoder, World

FLOAT = 4
BYTES = {"float32": 4.0, "bfloat16": 2.0}
HEADER_BYTES = 125
"""Of a tensor's name, shape and place in a safetensors header, about."""

LITE0_BLOCKS = 2_957_920
"""Weights of EfficientNet-lite0's blocks together."""


@dataclass(frozen=True)
class ConnectorSize:
    """Trainable parameters of a connector, and the visual tokens that come out of it for one picture."""

    parameters: int
    tokens: int


def connector_size(
    kind: str, *, tokens: int, width: int, hidden: int, settings: Mapping[str, int] | None = None
) -> ConnectorSize:
    """The connector *kind* from *tokens* features of *width* to the *hidden* size of the language model."""
    if kind in CONNECTORS:
        return ConnectorSize(CONNECTORS[kind](width, hidden), tokens)
    return _built(kind, tokens, width, hidden, tuple(sorted((settings or {}).items())))


CONNECTORS: dict[str, Callable[[int, int], int]] = {
    "identity": lambda width, hidden: 0,
    "linear": lambda width, hidden: (width + 1) * hidden,
    "mlp2_gelu": lambda width, hidden: (width + 1 + hidden + 1) * hidden,
    "mlp2_norm": lambda width, hidden: (width + 1 + hidden + 1 + 2) * hidden,
}


@cache
def _built(kind: str, tokens: int, width: int, hidden: int, settings: tuple[tuple[str, int], ...]) -> ConnectorSize:
    import torch

    from steering.model.connectors import build_connector

    with torch.device("meta"):
        connector: Any = build_connector(kind, width=width, hidden=hidden, settings=dict(settings))
    return ConnectorSize(sum(p.numel() for p in connector.parameters() if p.requires_grad), connector.tokens(tokens))


def tensors(settings: Settings, language: LanguageShape, vision: VisionShape) -> int:
    """How many tensors an adapter file of these settings holds."""
    count = _TENSORS.get(method_of(settings))
    return count(settings, language, vision) if count else 0


def _targets(settings: Any, language: LanguageShape) -> int:
    return len(language.linears) if settings.targets == "all-linear" else len(settings.targets)


def _layers(settings: Any, language: LanguageShape) -> int:
    return len(steered_layers(settings.layers, language.layers))


def _mrt_tensors(settings: Any, language: LanguageShape, vision: VisionShape) -> int:
    ends = bool(settings.prefix_rank) + bool(settings.suffix_rank)
    inside = len(settings.edited_widths(vision))
    return 3 * (inside + bool(settings.connector_rank) + ends * _layers(settings, language))


def _loreft_tensors(settings: Any, language: LanguageShape, vision: VisionShape) -> int:
    return 3 * _layers(settings, language) * (1 if settings.shared or not settings.first_tokens else 2)


_TENSORS: dict[str, Callable[[Any, LanguageShape, VisionShape], int]] = {
    "full": lambda s, language, v: language.layers * (len(language.linears) + 2) + 3,
    "lora": lambda s, language, v: 2 * language.layers * _targets(s, language),
    "adapter": lambda s, language, v: 2 * language.layers * len(language.parts.feed_forward),
    "oft": lambda s, language, v: language.layers * len(s.names(language)),
    "ia3": lambda s, language, v: 3 * language.layers,
    "mores": lambda s, language, v: (3 if s.tied else 4) * _layers(s, language),
    "mrt": _mrt_tensors,
    "loreft": _loreft_tensors,
}


def method_of(settings: Any) -> MethodName:
    name: MethodName = settings.method
    return name


def adapter_bytes(settings: Settings, language: LanguageShape, vision: VisionShape, *, dtype: str = "bfloat16") -> int:
    """Bytes of an adapter's safetensors file: float32 tensors and a header; "full" in the base model's *dtype*."""
    width = BYTES[dtype] if method_of(settings) == "full" else FLOAT
    header = HEADER_BYTES * tensors(settings, language, vision)
    return round(width * settings.trainable(language, vision)) + header


def encoder_parameters(encoder: VisionEncoder, encoders: Mapping[str, VisionEncoder]) -> int:
    """Weights of the encoder's blocks, of all parts where encoders stand side by side."""
    if encoder.kind == "efficientnet_lite0":
        return LITE0_BLOCKS
    if encoder.kind == "side_by_side":
        return sum(encoder_parameters(encoders[part], encoders) for part in encoder.parts)
    return encoder.config.get("num_hidden_layers", 0) * block_parameters(encoder)


def trained_in_encoder(
    encoder: VisionEncoder, encoders: Mapping[str, VisionEncoder], layers: int | Literal["all"]
) -> int:
    """Weights that a recipe's `encoder_layers` trains; the encoder is built on the meta device where there are any."""
    rows = [(part.kind, json.dumps(part.config)) for part in (encoder, *(encoders[name] for name in encoder.parts))]
    return _trained(tuple(rows), layers) if layers else 0


@cache
def _trained(rows: tuple[tuple[str, str], ...], layers: int | Literal["all"]) -> int:
    import torch

    from steering.model.encoders import build_encoder

    (kind, config), *parts = [(kind, json.loads(config)) for kind, config in rows]
    with torch.device("meta"):
        encoder = build_encoder(kind, config, parts=[{"kind": name, "config": own} for name, own in parts])
    return sum(p.numel() for p in {p for module in encoder.last(layers) for p in module.parameters()})


def feed_forward(encoder: VisionEncoder) -> int:
    """Width of a block's feed-forward; what transformers takes where the configuration leaves it open."""
    if encoder.kind == "dinov2":
        return int(encoder.config.get("mlp_ratio", 4) * encoder.config.get("hidden_size", encoder.width))
    return encoder.config.get("intermediate_size", 3072)


def block_parameters(encoder: VisionEncoder) -> int:
    """One transformer block: four linears of attention, two of the feed-forward, two norms, biases throughout."""
    hidden = encoder.config.get("hidden_size", encoder.width)
    ffn = feed_forward(encoder)
    scales = 2 * hidden if encoder.kind == "dinov2" else 0
    return 4 * (hidden + 1) * hidden + 2 * hidden * ffn + ffn + hidden + 4 * hidden + scales


@dataclass(frozen=True)
class Scene:
    """One arm in one world: everything that its size follows from."""

    settings: Settings
    model: LanguageModel
    encoder: VisionEncoder
    encoders: Mapping[str, VisionEncoder]
    connector: ConnectorSize
    recipe: Recipe
    text_tokens: int
    engine: Engine = PLAIN_ENGINE

    @classmethod
    def of(cls, params: Params, world: World, settings: Settings, recipe: Recipe | None = None) -> Scene:
        model, encoder = params.language_models[world.language_model], params.vision_encoders[world.vision_encoder]
        connector = connector_size(
            world.connector,
            tokens=encoder.tokens,
            width=encoder.width,
            hidden=model.shape.hidden,
            settings=world.connector_settings,
        )
        encoders = params.vision_encoders
        engine = world.engine_of(method_of(settings))
        return cls(settings, model, encoder, encoders, connector, recipe or world.tune, world.text_tokens, engine)

    @property
    def method(self) -> str:
        return method_of(self.settings)

    @property
    def trainable(self) -> int:
        return self.settings.trainable(self.model.shape, self.encoder.shape)

    @property
    def added(self) -> int:
        """Weights that a method multiplies with besides the model's own; OFT's whole blocks, not the stored halves."""
        return 0 if self.method == "full" else self.settings.papers_count(self.model.shape, self.encoder.shape)

    @property
    def trainable_connector(self) -> int:
        return 0 if self.recipe.freeze_connector else self.connector.parameters

    @property
    def trainable_encoder(self) -> int:
        return trained_in_encoder(self.encoder, self.encoders, self.recipe.encoder_layers)

    @property
    def trainable_all(self) -> int:
        return self.trainable + self.trainable_connector + self.trainable_encoder

    @property
    def live(self) -> bool:
        """Whether the vision encoder runs in every step, its features not being the same all along."""
        edited = bool(getattr(self.settings, "vision_rank", 0)) and len(self.encoder.shape.layers) > 2
        return edited or bool(self.recipe.encoder_layers)

    @property
    def length(self) -> int:
        return self.connector.tokens + self.text_tokens

    @property
    def positions(self) -> int:
        return self.recipe.conversations * self.length

    @property
    def at_once(self) -> int:
        """Conversations that one process puts through in a pass."""
        share = -(-self.recipe.conversations // self.engine.processes)
        return min(share, self.engine.micro_batch or share)
