"""Reading attention under fused kernels: a reader is given each layer's queries and keys, and computes what it wants.

    weights = softmax(s(q k / scale) + bias)        s caps scores where a model does: cap * tanh(s / cap)

No map of all heads and rows ever exists. Gemma 2 caps its attention scores, which no fused attention knows: it runs
with eager attention, whose maps exist one layer at a time.

Shapes: b samples, t positions, q query rows, h heads, g query heads per key head, e head size.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask
from transformers.models.gemma2.modeling_gemma2 import eager_attention_forward

from steering.errors import DataError
from steering.model.composed import CAPTURED

HELD = 1 << 22
"""Attention weights computed at once, at most: 16 MB of them."""


@dataclass(frozen=True)
class Scores:
    """How a layer scores: query (b, h, t, e), key (b, h / g, t, e), and how a score is scaled and capped.

    mask: None (causal), or (1 or b, 1 or h, t, t) as SDPA takes it.
    """

    query: Tensor
    key: Tensor
    mask: Tensor | None
    scaling: float
    cap: float | None

    @property
    def length(self) -> int:
        return self.query.shape[2]

    def weights(self, rows: Tensor, view: View, samples: slice = slice(None)) -> Tensor:
        """Attention of the query *rows* (b, q), as *view* lets them see, of some *samples*: (b, h, q, t) float32."""
        query, key, rows = self.query[samples], self.key[samples], rows[samples]
        chosen = query.take_along_dim(rows[:, None, :, None], 2).float()  # (b, h, q, e)
        shared = chosen.unflatten(1, (key.shape[1], -1)).flatten(2, 3)  # (b, h / g, g q, e)
        scores = (shared @ key.float().mT * self.scaling).view(len(rows), query.shape[1], -1, self.length)
        scores = scores if self.cap is None else self.cap * torch.tanh(scores / self.cap)
        return (scores + view.bias[samples]).softmax(-1)


@dataclass(frozen=True)
class View:
    """What query rows see: bias (b, 1 or h, q, t) is added to their scores, visible (b, q, t) bool says the same.

    A row that sees nothing (padding) has no bias, so that its weights are numbers; they mean nothing.
    """

    bias: Tensor
    visible: Tensor

    @classmethod
    def of(cls, mask: Tensor | None, rows: Tensor, *, length: int) -> View:
        """The view of the query *rows* (b, q) under *mask*, None (causal) or as SDPA takes it."""
        seen = _seen(mask, rows, length=length)  # (b, 1 or h, q, t)
        fed = seen.any(-1, keepdim=True)
        bias = torch.zeros(seen.shape, device=seen.device).masked_fill_(fed & ~seen, -torch.inf)
        if mask is not None and mask.is_floating_point():
            bias = bias + _rows_of(mask, rows, length=length).float().where(seen, 0.0)
        return cls(bias, seen[:, 0])


def _seen(mask: Tensor | None, rows: Tensor, *, length: int) -> Tensor:
    if mask is None:
        return (torch.arange(length, device=rows.device) <= rows.unsqueeze(-1)).unsqueeze(1)
    own = _rows_of(mask, rows, length=length)
    # The least number of a dtype is the custom for "not seen", and a sum with it can fall short of -inf.
    return own if own.dtype == torch.bool else own > torch.finfo(own.dtype).min / 2


def _rows_of(mask: Tensor, rows: Tensor, *, length: int) -> Tensor:
    every = mask[..., :length].expand(len(rows), -1, -1, -1)
    return every.take_along_dim(rows[:, None, :, None], 2)  # (b, 1 or h, q, t)


class Reader(Protocol):
    """What is given the scores of each layer, counted from 0, of a full pass."""

    def record(self, layer: int, scores: Scores) -> None: ...


_active: ContextVar[Reader | None] = ContextVar("reader", default=None)


@contextmanager
def read_by(language_model: nn.Module, reader: Reader) -> Iterator[None]:
    """*reader* gets the attention of the passes run within; the attention implementation is restored after.

    The language model may be wrapped by PEFT, and may be called in any way (by its decoder alone, or within a
    composed model).
    """
    decoder: Any = language_model.get_decoder()  # type: ignore[operator]
    before = decoder.config._attn_implementation
    token = _active.set(reader)
    try:
        decoder.set_attn_implementation(CAPTURED)
        yield
    finally:
        decoder.set_attn_implementation(before)
        _active.reset(token)


def full(scores: Scores, length: int) -> Scores:
    """*scores* of a pass over all *length* positions, keys of a longer cache cut off; raises DataError for a part."""
    if scores.length != length:
        raise DataError(f"attention: a pass over {scores.length} positions; allowed one over all {length}")
    return Scores(scores.query, scores.key[:, :, :length], scores.mask, scores.scaling, scores.cap)


def _captured_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """SDPA, or eager attention where scores are capped, with the reader under way reading queries and keys first."""
    reader, cap = _active.get(), options.get("softcap")
    if reader is not None:
        scaling = options.get("scaling") or query.shape[-1] ** -0.5
        with torch.no_grad(), torch.autocast(query.device.type, enabled=False):  # weights are float32
            reader.record(module.layer_idx, Scores(query, key, attention_mask, scaling, cap))
    if cap is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    length = query.shape[2]
    key, value = key[:, :, :length], value[:, :, :length]
    mask = _additive(attention_mask, length, query)
    return eager_attention_forward(module, query, key, value, mask, **options)[0], None


def _additive(mask: Tensor | None, length: int, like: Tensor) -> Tensor:
    """The mask of one full pass as eager attention takes it: (1 or b, 1, t, t), from None (causal) or SDPA's."""
    if mask is None:
        mask = torch.ones(1, 1, length, length, dtype=torch.bool, device=like.device).tril()
    mask = mask[..., :length]
    if mask.dtype != torch.bool:
        return mask
    return like.new_zeros(mask.shape).masked_fill_(~mask, torch.finfo(like.dtype).min)


AttentionInterface.register(CAPTURED, _captured_attention)
AttentionMaskInterface.register(CAPTURED, sdpa_mask)
