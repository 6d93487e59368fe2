"""How attention is shared out between modalities, per layer: attention mass on groups of columns, and LMAR.

    mass_l(group) = mean over heads and query rows of the attention that goes to the group's columns
    LMAR_l        = mean over samples of (mean attention per visual token / mean attention per text token)

(MoReS paper, Fig. 1 and Eq. 2.) The model runs with fused attention; only the chosen query rows are computed
again, one sample and one layer at a time, and reduced to sums over the groups at once, so no t x t map ever
exists. Gemma 2 caps its attention scores, which no fused attention knows: it runs with eager attention, whose maps
exist one layer at a time. "Per token" counts the columns that each query row can see. The attention sink (the first
token) dominates "text", so everything is given with and without it.

Shapes: b samples, t positions, q query rows of one sample, h heads, g query heads per key head, e head size,
l layers, c column groups, n samples of all batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask
from transformers.models.gemma2.modeling_gemma2 import eager_attention_forward

from steering.errors import DataError
from steering.model.marks import Marks

CAPTURE = "steering_capture"
_active: ContextVar[Recorder | None] = ContextVar("recorder", default=None)


@dataclass(frozen=True)
class ModalityAttention:
    """What a recorder saw: mass[group] (l, n), and counts[group] (n,), the columns of the group a query row sees."""

    mass: dict[str, np.ndarray]
    counts: dict[str, np.ndarray]

    @classmethod
    def joined(cls, parts: Sequence[ModalityAttention]) -> ModalityAttention:
        """One record of the samples of all *parts*, in order; raises DataError where there are none."""
        if not parts:
            raise DataError("attention: no samples; allowed one or more")
        groups = parts[0].mass
        mass = {group: np.concatenate([part.mass[group] for part in parts], axis=1) for group in groups}
        return cls(mass, {group: np.concatenate([part.counts[group] for part in parts]) for group in groups})


class Recorder:
    """The attention of chosen query rows to groups of columns, filled in by one forward pass over the whole text."""

    def __init__(self, queries: Tensor, columns: Mapping[str, Tensor]):
        self.length = queries.shape[1]
        self.groups = torch.stack([columns[name].bool() for name in columns])  # (c, b, t)
        self.names = list(columns)
        self.rows = [row.nonzero().squeeze(1) for row in queries.bool()]  # b of (q,)
        self.layers: dict[int, Tensor] = {}
        self.seen: Tensor | None = None

    def mass(self) -> dict[str, Tensor]:
        """Mean attention mass of each group over heads and query rows: (l, b); NaN for a sample without queries."""
        if not self.layers:
            raise DataError("attention: no forward pass was captured; allowed one within capture(...)")
        table = torch.stack([self.layers[index] for index in sorted(self.layers)])  # (l, c, b)
        return {name: table[:, place] for place, name in enumerate(self.names)}

    def counts(self) -> dict[str, Tensor]:
        """Mean number of columns of each group that a query row sees: (b,)."""
        self.mass()
        assert self.seen is not None
        return dict(zip(self.names, self.seen, strict=True))

    def result(self) -> ModalityAttention:
        mass = {name: value.double().cpu().numpy() for name, value in self.mass().items()}
        return ModalityAttention(mass, {name: value.double().cpu().numpy() for name, value in self.counts().items()})

    @torch.no_grad()
    def record(
        self, layer: int, query: Tensor, key: Tensor, *, mask: Tensor | None, scaling: float, cap: float | None
    ) -> None:
        """Adds a layer: query (b, h, t, e), key (b, h / g, t or more, e), mask None (causal) or as SDPA takes it.

        Scores s become cap * tanh(s / cap) where *cap* is given.
        """
        if query.shape[2] != self.length:
            raise DataError(f"attention: a pass over {query.shape[2]} positions; allowed one over all {self.length}")
        key = key[:, :, : self.length]  # a static cache is longer than the text
        samples = [
            self._sample(query[place], key[place], place=place, mask=mask, scaling=scaling, cap=cap)
            for place in range(len(self.rows))
        ]
        self.layers[layer] = torch.stack([mass for mass, _ in samples], dim=1)  # (c, b)
        self.seen = torch.stack([seen for _, seen in samples], dim=1)  # (c, b)

    def _sample(
        self, query: Tensor, key: Tensor, *, place: int, mask: Tensor | None, scaling: float, cap: float | None
    ) -> tuple[Tensor, Tensor]:
        """Mass and visible columns of each group, (c,) each, for the sample at *place*."""
        rows = self.rows[place].to(query.device)
        groups = self.groups[:, place].to(query.device, torch.float32)  # (c, t)
        bias = _bias(mask, place, rows, length=self.length)  # (1 or h, q, t) additive
        visible = bias[0] > -torch.inf  # (q, t)
        fed = visible.any(1)  # a padded row sees nothing
        chosen = query[:, rows[fed]].float().unflatten(0, (len(key), -1)).flatten(1, 2)  # (h / g, g q, e)
        scores = (chosen @ key.float().mT * scaling).view(len(query), -1, self.length)  # (h, q, t)
        scores = scores if cap is None else cap * torch.tanh(scores / cap)
        weights = (scores + bias[:, fed]).softmax(-1)  # (h, q, t)
        mass = (weights @ groups.T).mean((0, 1))
        return mass, (visible[fed].float() @ groups.T).mean(0)


def _bias(mask: Tensor | None, place: int, rows: Tensor, *, length: int) -> Tensor:
    """What is added to the scores of the query *rows* of a sample, -inf where nothing is seen: (1 or h, q, t)."""
    if mask is None:
        columns = torch.arange(length, device=rows.device)
        visible = (columns <= rows.unsqueeze(1)).unsqueeze(0)
        return torch.zeros(visible.shape, device=rows.device).masked_fill_(~visible, -torch.inf)
    own = mask[place if len(mask) > 1 else 0][:, rows, :length]
    if own.dtype == torch.bool:
        return torch.zeros(own.shape, device=own.device).masked_fill_(~own, -torch.inf)
    # The least number of a dtype is the custom for "not seen", and a sum with it can fall short of -inf.
    return own.float().masked_fill(own <= torch.finfo(own.dtype).min / 2, -torch.inf)


def _captured_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """SDPA, or eager attention where scores are capped, with the recorder under way reading queries and keys first."""
    recorder, cap = _active.get(), options.get("softcap")
    if recorder is not None:
        scaling = options.get("scaling") or query.shape[-1] ** -0.5
        recorder.record(module.layer_idx, query, key, mask=attention_mask, scaling=scaling, cap=cap)
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


AttentionInterface.register(CAPTURE, _captured_attention)
AttentionMaskInterface.register(CAPTURE, sdpa_mask)


@contextmanager
def capture(language_model: nn.Module, *, queries: Tensor, columns: Mapping[str, Tensor]) -> Iterator[Recorder]:
    """A recorder of the one full forward pass that is run within; the attention implementation is restored after.

    queries: (b, t) bool, the query rows, not on padding; columns: group -> (b, t) bool. The language model may be
    wrapped by PEFT, and may be called in any way (by its decoder alone, or within a composed model).
    """
    decoder: Any = language_model.get_decoder()  # type: ignore[operator]
    before = decoder.config._attn_implementation
    recorder = Recorder(queries, columns)
    token = _active.set(recorder)
    try:
        decoder.set_attn_implementation(CAPTURE)
        yield recorder
    finally:
        decoder.set_attn_implementation(before)
        _active.reset(token)


@torch.no_grad()
def modality_attention(
    language_model: nn.Module, inputs: Mapping[str, Any], *, queries: Tensor, columns: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Mean attention mass of each group in each layer, (l, b), for the model called with *inputs*.

    Equals eager attention maps averaged over heads and query rows and summed over the columns. Padded query rows
    are left out; a sample without query rows gives NaN.
    """
    padding = inputs.get("attention_mask")
    if padding is not None and padding.ndim == 2:
        queries = queries & padding.bool()
    with capture(language_model, queries=queries, columns=columns) as recorder:
        language_model(**{"use_cache": False, "logits_to_keep": 1, **inputs})
    return recorder.mass()


def answer_queries(marks: Marks) -> Tensor:
    """(b, t) bool: the positions that produce the answer tokens, each the one before its token."""
    return nn.functional.pad(marks.answer[:, 1:], (0, 1))


def modality_columns(marks: Marks) -> dict[str, Tensor]:
    """The column groups of LMAR, (b, t) bool each: visual, text (prompt and earlier answer tokens) with and without
    the sink, which is the first token of the sample."""
    text = marks.prompt | marks.answer
    present = text | marks.visual
    sink = present & (present.cumsum(1) == 1)
    return {"visual": marks.visual, "text": text, "text_without_sink": text & ~sink}


def lmar(mass: Mapping[str, Any], counts: Mapping[str, Any], *, text: str = "text") -> Any:
    """Attention per visual token over attention per text token, (l, n): MoReS paper, Eq. 2, before the mean.

    mass: group -> (l, n); counts: group -> (n,); text: the group that stands for text. Arrays or tensors.
    """
    return (mass["visual"] / counts["visual"]) / (mass[text] / counts[text])


def attention_summary(attention: ModalityAttention, *, seed: int, resamples: int = 2000) -> dict[str, Any]:
    """The parts "n", "lmar" and "visual_share" of a run's attention record, with 95 % bootstrap intervals over samples.

    Samples without visual, text or query tokens are left out; raises DataError where none is left.
    """
    kept = _whole(attention)
    n = kept.mass["visual"].shape[1]
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples) / n  # (resamples, n)
    weights = np.vstack([np.full(n, 1 / n), weights])  # the first row is the estimate itself
    ratios = {"with_sink": "text", "without_sink": "text_without_sink"}
    return {
        "n": n,
        "lmar": {name: _lmar_intervals(kept, weights, text=text) for name, text in ratios.items()},
        "visual_share": _intervals(weights @ kept.mass["visual"].T),
    }


def _whole(attention: ModalityAttention) -> ModalityAttention:
    """The samples for which every ratio is a number."""
    filled = np.all([count > 0 for count in attention.counts.values()], axis=0)
    if not filled.any():
        raise DataError("attention: no sample has queries that see visual and text tokens; allowed one or more")
    mass = {group: value[:, filled] for group, value in attention.mass.items()}
    return ModalityAttention(mass, {group: value[filled] for group, value in attention.counts.items()})


def _lmar_intervals(attention: ModalityAttention, weights: np.ndarray, *, text: str) -> dict[str, list]:
    visual = attention.mass["visual"] / attention.counts["visual"]  # (l, n)
    words = attention.mass[text] / attention.counts[text]  # (l, n)
    return {
        "mean_of_ratios": _intervals(weights @ (visual / words).T),
        "ratio_of_means": _intervals((weights @ visual.T) / (weights @ words.T)),
    }


def _intervals(values: np.ndarray) -> list[dict[str, float]]:
    """One {value, low, high} per layer, from (1 + resamples, l) whose first row is the estimate."""
    low, high = np.quantile(values[1:], [0.025, 0.975], axis=0)
    return [
        {"value": float(value), "low": float(least), "high": float(most)}
        for value, least, most in zip(values[0], low, high, strict=True)
    ]
