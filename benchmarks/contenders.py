"""The contenders: one random Llama behind a picture, adapted by each method, and the work that is timed.

All share the frozen weights of one model, but for full fine-tuning, which has its own. The gradient starts at the
visual embeddings, as when the connector is trained; the floor is the frozen model with that gradient and no more.

Shapes: b samples, t positions, v visual tokens, d hidden size.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from steering.arms import (
    AdapterSettings,
    FullSettings,
    Ia3Settings,
    LoraSettings,
    MoresSettings,
    MrtSettings,
    NoneSettings,
    OftSettings,
    Settings,
)
from steering.data.collate import Batch, Sample, collate
from steering.data.templates import Turn
from steering.methods import adapt
from steering.model.composed import ComposedModel
from steering.model.language import DTYPES, build_language_model, quicken

FLOOR = "floor"
OPENING, QUESTION = 4, 36
"""Words before the picture and between picture and answer."""

METHODS: dict[str, Settings] = {
    FLOOR: NoneSettings(),
    "floor_again": NoneSettings(),
    "mores_1": MoresSettings(),
    "mores_25": MoresSettings(token_ratio=0.25),
    "mores_100": MoresSettings(token_ratio=1.0),
    "mores_live": MoresSettings(placement="input"),
    "lora_r128": LoraSettings(dropout=0.0),
    "lora_r8": LoraSettings(rank=8, alpha=16, dropout=0.0),
    "adapter": AdapterSettings(bottleneck=64),
    "oft": OftSettings(),
    "ia3": Ia3Settings(),
    "mrt_text": MrtSettings.model_validate({"vision_rank": 0, "connector_rank": 0}),
    "full": FullSettings(),
}
"""Dropout is off: on a CPU it costs much, and would flatter the methods that have none. The floor stands there twice:
how far its ratio to itself is from 1 is what the clock cannot tell."""


@dataclass(frozen=True)
class Size:
    """A Llama of `layers` x `hidden`, and batches of `samples`, `visual` of whose `tokens` are visual."""

    layers: int
    hidden: int
    ffn: int
    heads: int
    visual: int
    tokens: int
    samples: int = 4
    vocabulary: int = 2048

    def config(self) -> dict[str, Any]:
        return {
            "model_type": "llama",
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "intermediate_size": self.ffn,
            "num_attention_heads": self.heads,
            "vocab_size": self.vocabulary,
            "pad_token_id": None,
            "bos_token_id": None,
            "eos_token_id": None,
        }


SIZES = {
    "tiny": Size(layers=2, hidden=128, ffn=192, heads=4, visual=16, tokens=64, samples=2, vocabulary=64),
    "small": Size(layers=6, hidden=384, ffn=1024, heads=6, visual=100, tokens=160),
    "medium": Size(layers=12, hidden=768, ffn=2048, heads=12, visual=196, tokens=256),
}


class Contender:
    """One adapted model with its optimiser, and the units of work that are measured on it."""

    def __init__(self, model: ComposedModel, batch: Batch, *, extra_bytes: int):
        self.model, self.batch = model, batch
        self.own = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimiser = torch.optim.AdamW(self.own, lr=1e-5) if self.own else None
        self.extra_bytes = extra_bytes
        self._cache: Any = None

    @property
    def trainable(self) -> int:
        return sum(parameter.numel() for parameter in self.own)

    @property
    def optimiser_bytes(self) -> int:
        """Bytes of the optimiser's state; there is none before the first step."""
        states = self.optimiser.state.values() if self.optimiser else ()
        return sum(_bytes(value) for state in states for value in state.values() if isinstance(value, Tensor))

    def step(self) -> None:
        """One training step, loss on the answers alone; of the floor, all of it that needs no parameter."""
        loss, _ = self.model(self.batch)
        loss.backward()
        if self.optimiser:
            self.optimiser.step()
            self.optimiser.zero_grad(set_to_none=True)
        assert self.batch.features is not None
        self.batch.features.grad = None

    @torch.no_grad()
    def prefill(self) -> Any:
        """The whole batch with a cache; returns the cache."""
        return self.model.hidden(self.batch, use_cache=True).past_key_values

    @contextmanager
    def decoding(self, tokens: int) -> Iterator[Callable[[], None]]:
        """The work of decoding *tokens* tokens behind the prefilled batch; the cache is as before afterwards."""
        if self._cache is None:
            self._cache = self.prefill()
        yield lambda: self._decode(tokens)
        self._cache.crop(-tokens)

    @torch.no_grad()
    def _decode(self, tokens: int) -> None:
        samples, length = self.batch.input_ids.shape
        ids = self.batch.input_ids[:, -1:]  # (b, 1)
        for ahead in range(length, length + tokens):
            visible = torch.ones(samples, 1, 1, ahead + 1, dtype=torch.bool, device=ids.device)
            self.model.decode(ids, torch.full_like(ids, ahead), visible=visible, cache=self._cache)


def contenders(
    names: list[str], size: Size, *, dtype: str, device: torch.device, seed: int = 0
) -> dict[str, Contender]:
    """The contenders of *names* on one random model and one random batch, both from *seed*."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        base = quicken(build_language_model(size.config(), dtype=dtype)).to(device)  # type: ignore[arg-type]
    batch = random_batch(size, dtype=DTYPES[dtype], seed=seed).to(device)
    assert batch.features is not None
    batch = replace(batch, features=batch.features.requires_grad_())
    return {name: _contender(base, METHODS[name], batch, seed=seed) for name in names}


def _contender(base: nn.Module, settings: Settings, batch: Batch, *, seed: int) -> Contender:
    frozen = {} if isinstance(settings, FullSettings) else {id(tensor): tensor for tensor in base.parameters()}
    language_model = copy.deepcopy(base, dict(frozen))  # what the memo holds is shared, not copied
    model = ComposedModel(nn.Identity(), language_model)  # type: ignore[arg-type]
    adapt(model, settings, seed=seed)
    return Contender(model, batch, extra_bytes=weight_bytes(model) - weight_bytes(base))


def random_batch(size: Size, *, dtype: torch.dtype, seed: int, answer: int | None = None) -> Batch:
    """Samples of one picture and one question each, all of the same length: no padding.

    answer: its words, all else being asked; by default what a question of QUESTION words leaves.
    """
    generator = torch.Generator().manual_seed(seed)

    def words(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(1, size.vocabulary, (count,), generator=generator).tolist())

    told = size.tokens - size.visual - OPENING - QUESTION if answer is None else answer
    asked = size.tokens - size.visual - OPENING - told
    samples = [
        Sample(
            words(OPENING),
            (Turn(words(asked), words(told)),),
            0.02 * torch.randn(size.visual, size.hidden, generator=generator),
        )
        for _ in range(size.samples)
    ]
    batch = collate(samples)
    assert batch.features is not None
    return replace(batch, features=batch.features.to(dtype))


def weight_bytes(model: nn.Module) -> int:
    return sum(_bytes(parameter) for parameter in model.parameters())


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
