"""What is trained in the benchmark of the training step: models, questions about pictures, and our step on them.

A frozen language model with random weights, a trained connector (mlp2_gelu) and, in the arm "mores", an edit of rank
1 at 1 % of the visual tokens. Every picture has several questions with answers of 1 to 4 tokens.

Shapes: b samples, t positions, v visual tokens, c features of each.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from steering.arms import LanguageShape, MoresSettings, NoneSettings, Settings
from steering.cost import attention_flops, layer_weights
from steering.data.collate import Batch, Sample, collate
from steering.data.templates import Turn
from steering.methods import adapt
from steering.model.composed import ComposedModel
from steering.model.connectors import Connector, build_connector
from steering.model.encoders import VisionEncoder, build_encoder
from steering.model.language import DTYPES, build_language_model, quicken
from steering.train.engine import TorchEngine
from steering.train.optimiser import Recipe, release

ARMS: dict[str, Settings] = {"connector": NoneSettings(), "mores": MoresSettings()}

OPENING = 4
"""Words before the picture."""
ANSWER = (1, 4)
"""Fewest and most tokens of an answer, all equally likely."""
RESERVED = 2
"""Token ids that no text uses: padding and the picture's placeholder of the peer."""
RATE, STEPS = 1e-3, 100_000
"""Learning rate of all that is trained, and the length of the cosine that it follows: flat for a benchmark."""

MIXED_QUESTIONS = (1, 6)
MIXED_WORDS, MIXED_SPREAD, MIXED_MOST = 16, 0.8, 128
"""A population of mixed lengths: so many questions, equally likely, each of log-normally many words: median, sigma
of the logarithm, most."""

UNSET = {"pad_token_id": None, "bos_token_id": None, "eos_token_id": None}
SMOLLM2 = {"model_type": "llama", "vocab_size": 49152, "tie_word_embeddings": True, **UNSET}
PHI2 = {
    "model_type": "phi",
    "vocab_size": 51200,
    "hidden_size": 2560,
    "intermediate_size": 10240,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "partial_rotary_factor": 0.4,
    **UNSET,
}


@dataclass(frozen=True)
class Size:
    """A step of `pictures`, each with `questions` of between `words` many words; keys as transformers has them.

    language, encoder: configurations of a causal LM and of a SigLIP.
    population, batch: conversations of mixed lengths, and how many of them a step takes.
    """

    language: Mapping[str, Any]
    encoder: Mapping[str, Any]
    pictures: int
    population: int
    batch: int
    questions: int = 6
    words: tuple[int, int] = (8, 24)

    @property
    def visual(self) -> int:
        return (self.encoder["image_size"] // self.encoder["patch_size"]) ** 2

    @property
    def width(self) -> int:
        return self.encoder["hidden_size"]


def _llama(hidden: int, ffn: int, layers: int, heads: int, kv_heads: int, **more: float) -> dict[str, Any]:
    sizes = {"hidden_size": hidden, "intermediate_size": ffn, "num_hidden_layers": layers}
    return {**SMOLLM2, **sizes, "num_attention_heads": heads, "num_key_value_heads": kv_heads, **more}


def _siglip(hidden: int, ffn: int, layers: int, heads: int, *, image: int, patch: int) -> dict[str, Any]:
    sizes = {"hidden_size": hidden, "intermediate_size": ffn, "num_hidden_layers": layers}
    return {**sizes, "num_attention_heads": heads, "image_size": image, "patch_size": patch}


SIZES = {
    "small": Size(
        _llama(64, 96, 2, 4, 2, initializer_range=0.1),  # large weights, so that a wrong input shows in the loss
        _siglip(32, 48, 3, 4, image=32, patch=8),
        pictures=2,
        questions=3,
        population=64,
        batch=2,
    ),
    "medium": Size(
        _llama(576, 1536, 8, 9, 3), _siglip(384, 1536, 7, 6, image=128, patch=16), pictures=2, population=512, batch=4
    ),
    "3b": Size(PHI2, _siglip(1152, 4304, 27, 16, image=384, patch=14), pictures=2, population=512, batch=4),
}
"""medium: the width and vocabulary of SmolLM2-135M with 8 of its 30 layers, so the LM head weighs more than there
(half of the weights, not a fifth). 3b: Phi-2 behind SigLIP so400m at 384 pixels."""


class AllLogits(ComposedModel):
    """The composed model with the LM head at every position, as transformers' own loss has it."""

    def forward(self, batch: Batch) -> tuple[Tensor, int]:
        logits = self.logits(self.hidden(batch, use_cache=False).last_hidden_state)  # (b, t, vocabulary)
        told = batch.input_ids.masked_fill(~batch.marks.answer, -100)[:, 1:]
        # The targets are shifted and not the logits, of which a slice would be copied forward and backward.
        targets = functional.pad(told, (0, 1), value=-100)
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten()), supervised(batch)


class Ours:
    """A model with what trains it: a step as the training loop takes it, collating included."""

    def __init__(self, model: ComposedModel, *, device: torch.device):
        recipe = Recipe(STEPS, 1, connector_learning_rate=RATE, method_learning_rate=RATE, warmup_ratio=0.0)
        release(recipe, model)
        self.model, self.device = model.train(), device
        self.engine = TorchEngine(model, recipe)
        self.steps = 0

    def step(self, samples: Sequence[Sample]) -> float:
        """One update on *samples*; the loss before it."""
        batch = collate(samples)
        loss = self.engine.backward(batch.to(self.device), supervised=supervised(batch), last=True)
        self.engine.update(self.steps)
        self.steps += 1
        return float(loss)

    @torch.no_grad()
    def loss(self, samples: Sequence[Sample]) -> float:
        return float(self.model(collate(samples).to(self.device))[0])


class Workload:
    """The parts of one benchmark, all from *seed*; every model shares the frozen weights of one."""

    def __init__(self, size: Size, *, dtype: str, device: torch.device, seed: int = 0):
        self.size, self.dtype, self.device, self.seed = size, dtype, device, seed

    @cached_property
    def base(self) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            return build_language_model(dict(self.size.language), dtype=self.dtype, device=str(self.device))

    @cached_property
    def encoder(self) -> VisionEncoder:
        with torch.random.fork_rng():
            torch.manual_seed(self.seed + 1)
            return build_encoder("siglip", self.size.encoder).to(self.device, DTYPES[self.dtype])

    @cached_property
    def samples(self) -> list[Sample]:
        """The questions of one step, those about a picture in one sample."""
        generator = torch.Generator().manual_seed(self.seed)
        counts = torch.randint(*_past(self.size.words), (self.size.pictures, self.size.questions), generator=generator)
        return [self._conversation(words, self._picture(generator), generator) for words in counts.tolist()]

    @cached_property
    def mixed(self) -> list[Sample]:
        """The population: conversations of mixed lengths, all about one picture."""
        generator = torch.Generator().manual_seed(self.seed + 2)
        picture = self._picture(generator)
        return [self._conversation(_mixed_words(generator), picture, generator) for _ in range(self.size.population)]

    def _picture(self, generator: torch.Generator) -> Tensor:
        """(v, c) float16, as features are kept on disk."""
        return torch.randn(self.size.visual, self.size.width, generator=generator).half()

    def _conversation(self, words: Sequence[int], picture: Tensor, generator: torch.Generator) -> Sample:
        def text(count: int) -> tuple[int, ...]:
            most = self.size.language["vocab_size"]
            return tuple(torch.randint(RESERVED, most, (count,), generator=generator).tolist())

        turns = tuple(Turn(text(count), text(_between(ANSWER, generator))) for count in words)
        return Sample(text(OPENING), turns, picture)

    def pictured(self, samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
        """*samples* of random pixels, and of the features that the encoder gives for them."""
        side = self.size.encoder["image_size"]
        generator = torch.Generator().manual_seed(self.seed + 3)
        pixels = torch.randn(len(samples), 3, side, side, generator=generator)
        with torch.no_grad():
            features = self.encoder(pixels.to(self.device)).cpu()  # (p, v, c)
        live = [
            replace(sample, features=None, pixels=own, visual_tokens=self.size.visual)
            for sample, own in zip(samples, pixels, strict=True)
        ]
        return live, [replace(sample, features=own) for sample, own in zip(samples, features, strict=True)]

    def language_model(self) -> Any:
        """A copy of the base as transformers has it, sharing its frozen weights."""
        return copy.deepcopy(self.base, {id(tensor): tensor for tensor in self.base.parameters()})

    def connector(self) -> Connector:
        with torch.random.fork_rng():
            torch.manual_seed(self.seed + 4)
            hidden = self.size.language["hidden_size"]
            return build_connector("mlp2_gelu", width=self.size.width, hidden=hidden).to(self.device)

    def ours(self, arm: str, *, kind: type[ComposedModel] = ComposedModel, vision: VisionEncoder | None = None) -> Ours:
        model = kind(self.connector(), quicken(self.language_model()), vision)
        adapt(model, ARMS[arm], seed=self.seed)
        return Ours(model, device=self.device)

    def told(self) -> dict[str, Any]:
        """What the record says of the work: sizes, weights, positions of a step, lengths of the population."""
        shared, lengths = collate(self.samples), [length(sample) for sample in self.mixed]
        return {
            **asdict(self.size),
            "visual_tokens": self.size.visual,
            "language_model_parameters": parameters(self.base),
            "encoder_over_language_model": parameters(self.encoder) / parameters(self.base),
            "questions_per_step": asked(self.samples),
            "positions_per_step": shared.tokens,
            "positions_asked_alone": collate(alone(self.samples)).tokens,
            "supervised_tokens": supervised(shared),
            "mixed_lengths": {"questions": MIXED_QUESTIONS, "median_words": MIXED_WORDS, "sigma": MIXED_SPREAD}
            | {"most_words": MIXED_MOST, "positions": lengths},
        }


def alone(samples: Sequence[Sample]) -> list[Sample]:
    """Each question of *samples* as a sample of its own, with its own copy of the picture."""
    return [replace(sample, turns=(turn,)) for sample in samples for turn in sample.turns]


def asked(samples: Sequence[Sample]) -> int:
    return sum(len(sample.turns) for sample in samples)


def length(sample: Sample) -> int:
    """Positions of *sample* in a row."""
    text = sum(len(turn.question) + len(turn.answer) for turn in sample.turns)
    return len(sample.opening) + sample.places + text


def supervised(batch: Batch) -> int:
    return int(batch.marks.answer[:, 1:].sum())


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _past(ends: tuple[int, int]) -> tuple[int, int]:
    """Fewest and most as torch.randint takes them."""
    return ends[0], ends[1] + 1


def _between(ends: tuple[int, int], generator: torch.Generator) -> int:
    return int(torch.randint(*_past(ends), (), generator=generator))


def _mixed_words(generator: torch.Generator) -> list[int]:
    count = _between(MIXED_QUESTIONS, generator)
    drawn = MIXED_WORDS * torch.exp(MIXED_SPREAD * torch.randn(count, generator=generator))
    return drawn.round().long().clamp(1, MIXED_MOST).tolist()


def step_flops(model: ComposedModel, batch: Batch) -> int:
    """FLOPs of one of our steps by the rules of steering.cost, and the LM head's at supervised positions.

    Frozen linears are passed forwards and backwards, connector weights have a gradient in place of the features;
    padding does no useful work. Attention is counted to the end of the row, as though nothing were masked.
    """
    shape, visual = LanguageShape.of(model.config), int(batch.marks.visual.sum())
    each = 4 * layer_weights(shape) + 3 * attention_flops(shape, batch.input_ids.shape[1])
    head, connector = supervised(batch) * shape.hidden * shape.vocabulary, visual * parameters(model.connector)
    return batch.tokens * each + 4 * head + 4 * connector
