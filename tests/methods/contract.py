"""The arms, models and conversations that the contract of every method is tested on, bare and composed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import torch
from tiny_models import IMAGE, SIZES, Text, stir, text
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM

from steering.arms import (
    AdapterSettings,
    FullSettings,
    Ia3Settings,
    LoraSettings,
    LoreftSettings,
    MoresSettings,
    MrtSettings,
    NoneSettings,
    OftSettings,
    VisionShape,
)
from steering.data.collate import Batch, Sample, collate
from steering.data.templates import Turn
from steering.methods import adapt
from steering.methods.mrt import block_widths
from steering.methods.placing import WEIGHTS
from steering.model.composed import ComposedModel
from steering.model.connectors import build_connector
from steering.model.encoders import VisionEncoder, build_encoder
from steering.model.language import freeze
from steering.model.marks import board_of
from steering.train.optimiser import Recipe, release

PARTICULARS: dict[str, dict[str, Any]] = {
    "llama": {"num_key_value_heads": 2},
    "phi": {"resid_pdrop": 0.0},
    "qwen2": {"num_key_value_heads": 2, "tie_word_embeddings": True},
}
FAMILIES = tuple(PARTICULARS)
OTHER_FAMILIES: dict[str, dict[str, Any]] = {
    "qwen3": {"num_key_value_heads": 2, "head_dim": 16},
    "gemma": {"num_key_value_heads": 2, "head_dim": 16},
    "gemma2": {"num_key_value_heads": 2, "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 64},
    "stablelm": {"num_key_value_heads": 2, "use_qkv_bias": True},
}
VISION = VisionShape(tokens=16, width=8)
MRT: dict[str, Any] = {"vision_rank": 0, "connector_rank": 0, "prefix_tokens": 2, "suffix_tokens": 2}
ARMS: dict[str, Any] = {
    "none": NoneSettings(),
    "full": FullSettings(),
    "lora": LoraSettings(rank=4, alpha=8, dropout=0.0),
    "lora_named": LoraSettings(rank=2, alpha=8, dropout=0.0, targets=["q_proj", "v_proj"]),
    "adapter": AdapterSettings(bottleneck=6),
    "oft": OftSettings(blocks=8),
    "ia3": Ia3Settings(),
    "mores": MoresSettings(),
    "mores_rank_3": MoresSettings(rank=3, token_ratio=0.5, layers="every_2nd"),
    "mores_input": MoresSettings(rank=2, token_ratio=1.0, placement="input", layers=[1, 3]),
    "mrt": MrtSettings(prefix_rank=2, suffix_rank=3, **MRT),
    "loreft": LoreftSettings(rank=2, first_tokens=1, last_tokens=2),
    "loreft_unshared": LoreftSettings(rank=2, first_tokens=1, last_tokens=2, shared=False),
}
TUNED = [name for name in ARMS if name != "none"]
IN_PEFT = [name for name in TUNED if name != "full"]
DRAWN = [name for name in IN_PEFT if name not in ("oft", "ia3")]
"""Those whose start is drawn; the others start as the identity."""
MERGEABLE = [name for name in IN_PEFT if ARMS[name].method in ("lora", "oft", "ia3")]

TALKS = [
    [5, 6, *[IMAGE] * 16, 7, 8, 9, 10, 21, 22],
    [11, 12, *[IMAGE] * 12, 13, *[IMAGE] * 5, 14, 15, 16, 17, 23, 24],
    [25, 26, 27, 28, 29, 30, 31, 32],
]
"""One picture of 16 tokens; two of 12 and 5; none. The last two tokens are the answer."""


def language_model(family: str, dtype: torch.dtype = torch.float32, *, layers: int = 4) -> nn.Module:
    """The same random frozen model each time, of 4 heads; Qwen2's embeddings are tied."""
    particular = {**PARTICULARS, **OTHER_FAMILIES}[family]
    config = AutoConfig.for_model(family, **SIZES | particular | {"num_hidden_layers": layers})
    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_config(config)
    return model.to(dtype).requires_grad_(False).eval()


def conversation(rows: list[list[int]] = TALKS, *, side: str = "right", answer: int = 2) -> Text:
    """*rows* whose last *answer* tokens are the answer."""
    batch = text(rows, side=side)
    remaining = batch.mask.flip(1).cumsum(1).flip(1)  # from here to the last token, padding not counted
    answers = (remaining <= answer) & batch.mask.bool()
    return replace(batch, marks=replace(batch.marks, answer=answers, prompt=batch.marks.prompt & ~answers))


def loss(model: nn.Module, batch: Text) -> Tensor:
    """Mean cross-entropy of the answers, as in training."""
    supervised = batch.marks.answer[:, 1:]
    logits = batch.logits(model)[:, :-1][supervised]
    return nn.functional.cross_entropy(logits.float(), batch.ids[:, 1:][supervised])


def mixed(arm: str) -> torch.autocast:
    """How a bfloat16 model of *arm* runs inside a composed model."""
    return torch.autocast("cpu", torch.bfloat16, enabled=ARMS[arm].method in WEIGHTS)


def base_of(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def shown(model: nn.Module, batch: Text) -> Any:
    """A context in which the marks of *batch* are on the model's board."""
    return board_of(base_of(model)).show(batch.marks)


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


COMPOSED: dict[str, Any] = {name: ARMS[name] for name in ("none", "full", "lora", "adapter", "oft", "ia3")} | {
    "mores": MoresSettings(),
    "mores_live": MoresSettings(rank=2, placement="input"),
    "mores_untied": MoresSettings(tied=False),
    "mrt": MrtSettings(**MRT | {"vision_rank": 2, "connector_rank": 3, "prefix_rank": 2, "suffix_rank": 3}),
    "mrt_text": ARMS["mrt"],
    "loreft": LoreftSettings(rank=2, first_tokens=4, last_tokens=2),  # more than the shared opening has
}
MORES = [name for name in COMPOSED if COMPOSED[name].method == "mores"]
BLOCKS: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": 32,
    "patch_size": 8,
}
DINOV2 = {key: value for key, value in BLOCKS.items() if key != "intermediate_size"} | {"mlp_ratio": 2}
ENCODERS: dict[str, dict[str, Any]] = {"clip": BLOCKS, "siglip": BLOCKS, "efficientnet_lite0": {"image_size": 64}}
OTHER_ENCODERS: dict[str, dict[str, Any]] = {"dinov2": DINOV2, "side_by_side": {}}
SIDES = [{"kind": "clip", "config": BLOCKS}, {"kind": "dinov2", "config": DINOV2}]
CONNECTORS: dict[str, dict[str, int]] = {
    "mlp2_gelu": {},
    "mlp2_norm": {},
    "linear": {},
    "identity": {},
    "resampler": {"queries": 3, "layers": 1, "heads": 2},
    "qformer": {"queries": 10, "layers": 1, "heads": 2, "hidden": 8},
}
OTHER_CONNECTORS = [kind for kind in CONNECTORS if kind != "mlp2_gelu"]
PAIRS = [(family, "clip") for family in FAMILIES] + [("llama", kind) for kind in ENCODERS if kind != "clip"]
"""Every family of language model with one encoder, every encoder with one family."""
RECIPE = Recipe(steps=8, conversations=1, connector_learning_rate=1e-2, method_learning_rate=1e-2, warmup_ratio=0.0)
CLOSING = 99
OPENING = (1, 2, 3)
TURNS = (
    Turn((5, 6, 7, 19, 20), (8, 9)),
    Turn((10, 11, 12, 13), (14, 15, 9)),
    Turn((16, 17, 21, 22, 23, 24), (18, 9)),
)
"""No question is so short that a prefix and a suffix of two tokens overlap."""


def live(arm: str) -> bool:
    """Whether *arm* edits the vision encoder, so that it needs pixels."""
    return bool(getattr(COMPOSED[arm], "vision_rank", 0))


@cache
def untouched_encoder(kind: str, *, wide: bool = False) -> VisionEncoder:
    return fresh_encoder(kind, wide=wide)


def fresh_encoder(kind: str, *, wide: bool = False) -> VisionEncoder:
    """The same random encoder each time; *wide*: as wide as the language model."""
    torch.manual_seed(0)
    config = {**ENCODERS, **OTHER_ENCODERS}[kind] | ({"hidden_size": SIZES["hidden_size"]} if wide else {})
    return build_encoder(kind, config, parts=SIDES if kind == "side_by_side" else ())


@cache
def seen(kind: str, *, wide: bool = False) -> tuple[Tensor, Tensor]:
    """Two pictures (2, 3, s, s) and their features (2, v, c)."""
    encoder = untouched_encoder(kind, wide=wide)
    pixels = torch.rand(2, 3, encoder.image_size, encoder.image_size, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        return pixels, encoder(pixels)


def vision_shape(kind: str) -> VisionShape:
    encoder = untouched_encoder(kind)
    widths = block_widths(encoder, list(encoder.layers))
    return VisionShape(tokens=encoder.tokens, width=encoder.width, layers=tuple(widths))


def bare_composed(
    arm: str,
    family: str = "llama",
    kind: str = "clip",
    connector: str = "mlp2_gelu",
    dtype: torch.dtype = torch.float32,
) -> ComposedModel:
    """The composed model that *arm* is put onto, of two decoder layers; its encoder is inside where it runs live."""
    base: Any = language_model(family, dtype, layers=2)
    _, features = seen(kind, wide=connector == "identity")
    torch.manual_seed(3)
    made = build_connector(
        connector, width=features.shape[-1], hidden=SIZES["hidden_size"], settings=CONNECTORS[connector]
    )
    made.standardise(features.mean((0, 1)), features.std((0, 1)))
    return ComposedModel(made, freeze(base), fresh_encoder(kind) if live(arm) else None)


def composed(arm: str, *parts: Any, **named: Any) -> Any:
    """bare_composed with *arm* on it, away from its start and ready to be trained, and the adapted module."""
    model = bare_composed(arm, *parts, **named)
    adapted = stir(adapt(model, COMPOSED[arm], seed=0))
    release(RECIPE, model)
    return model, adapted


def talks(arm: str, kind: str = "clip", connector: str = "mlp2_gelu", *, answers: bool = True) -> list[Sample]:
    """One question on a picture; one without any; three on another picture. With their *answers*, or to be answered."""
    turns = TURNS if answers else tuple(Turn(turn.question, ()) for turn in TURNS)
    pixels, features = seen(kind, wide=connector == "identity")
    tokens = CONNECTORS[connector].get("queries", features.shape[1])
    name, pictures = ("pixels", pixels) if live(arm) else ("features", features)
    first, second = ({name: picture, "visual_tokens": tokens} for picture in pictures)
    return [Sample(OPENING, turns[:1], **first), Sample(OPENING, turns[2:]), Sample(OPENING, turns, **second)]


def alone(sample: Sample) -> list[Batch]:
    """Each question of *sample* by itself."""
    return [collate([replace(sample, turns=(turn,))]) for turn in sample.turns]
