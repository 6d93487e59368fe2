"""How attention is shared out between modalities, per layer: attention mass on groups of columns, and LMAR.

    mass_l(group) = mean over heads and query rows of the attention that goes to the group's columns
    LMAR_l        = mean over samples of (mean attention per visual token / mean attention per text token)

(MoReS paper, Fig. 1 and Eq. 2.) The model runs with fused attention; only the chosen query rows are computed
again, one layer at a time (steering.analyse.capture), and reduced to sums over the groups at once, so no t x t map
ever exists and what is kept is O(layers x samples). "Per token" counts the columns that each query row can see. The
attention sink (the first token) dominates "text", so everything is given with and without it.

Shapes: b samples, t positions, q query rows of a sample, h heads, l layers, c column groups, n samples of all batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from steering.analyse.capture import HELD, Scores, View, full, read_by
from steering.errors import DataError
from steering.model.marks import Marks

DIGITS = 5
"""Significant digits of a sample's numbers in a file; the least that counts is a thousandth of LMAR."""


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
        self.names = list(columns)
        self.groups = torch.stack([columns[name].float() for name in columns])  # (c, b, t)
        self.rows, self.share = _padded(queries.bool())  # (b, q) each
        self.layers: dict[int, Tensor] = {}
        self.seen: Tensor | None = None
        self._views: dict[int, tuple[Tensor | None, View]] = {}

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

    def record(self, layer: int, scores: Scores) -> None:
        """Adds a layer, a few samples at a time."""
        scores = full(scores, self.length)
        view = self._view(scores)
        share = self._shared(view)  # (b, q)
        heads = scores.query.shape[1]
        step = max(1, HELD // (heads * self.rows.shape[1] * self.length))
        spread = []
        for start in range(0, len(share), step):
            some = slice(start, start + step)
            weights = scores.weights(self.rows, view, some)  # (b, h, q, t)
            each = (share[some] / heads).unsqueeze(1).expand(-1, heads, -1).flatten(1).unsqueeze(1)  # (b, 1, h q)
            spread.append(each @ weights.flatten(1, 2))  # (b, 1, t)
        self.layers[layer] = _grouped(torch.cat(spread).squeeze(1), self.groups)
        self.seen = _grouped((share.unsqueeze(1) @ view.visible.float()).squeeze(1), self.groups)

    def _view(self, scores: Scores) -> View:
        """Layers share their mask, so it is read once; the marks move to where the model is."""
        device = scores.query.device
        self.groups, self.rows, self.share = self.groups.to(device), self.rows.to(device), self.share.to(device)
        known = self._views.get(id(scores.mask))
        if known is None:
            known = scores.mask, View.of(scores.mask, self.rows, length=self.length)  # the mask keeps its id
            self._views[id(scores.mask)] = known
        return known[1]

    def _shared(self, view: View) -> Tensor:
        """How much each query row weighs in its sample's mean; a padded row nothing, for it sees nothing: (b, q)."""
        fed = self.share * view.visible.any(-1)
        return fed / fed.sum(1, keepdim=True)


def _padded(queries: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of *queries* (b, t), filled up to the most that a sample has, and 1 for a real one, 0 for a filler."""
    counts = queries.sum(1, keepdim=True)  # (b, 1)
    most = max(1, int(counts.max()))
    rows = queries.int().sort(dim=1, descending=True, stable=True).indices[:, :most]
    return rows, (torch.arange(most, device=queries.device) < counts).float()


def _grouped(spread: Tensor, groups: Tensor) -> Tensor:
    """What of *spread* (b, t) falls on each of *groups* (c, b, t): (c, b)."""
    return torch.einsum("bt,cbt->cb", spread, groups)


@contextmanager
def capture(language_model: nn.Module, *, queries: Tensor, columns: Mapping[str, Tensor]) -> Iterator[Recorder]:
    """A recorder of the one full forward pass that is run within, in whatever way the model is called.

    queries: (b, t) bool, the query rows, not on padding; columns: group -> (b, t) bool.
    """
    recorder = Recorder(queries, columns)
    with read_by(language_model, recorder):
        yield recorder


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


def attention_summary(
    attention: ModalityAttention, *, seed: int, named: Sequence[Mapping[str, Any]] = (), resamples: int = 2000
) -> dict[str, Any]:
    """What a run's attention record tells: "n", and "lmar" and "visual_share" by layer, "visual_attention" over all of
    them, with 95 % bootstrap intervals over samples.

    named: "id" and "group" of each sample; "samples" then has those columns with each one's own visual_attention, and
    what all of these numbers are made of: "mass", group -> (l, n), and "counts", group -> (n,).
    Samples without visual, text or query tokens are left out; raises DataError where none is left.
    """
    filled = _filled(attention)
    kept = ModalityAttention(
        {group: value[:, filled] for group, value in attention.mass.items()},
        {group: value[filled] for group, value in attention.counts.items()},
    )
    n = kept.mass["visual"].shape[1]
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples) / n  # (resamples, n)
    weights = np.vstack([np.full(n, 1 / n), weights])  # the first row is the estimate itself
    ratios = {"with_sink": "text", "without_sink": "text_without_sink"}
    each = kept.mass["visual"].mean(0)  # (n,)
    names = [entry for entry, whole in zip(named, filled, strict=True) if whole] if named else []
    columns = {column: [entry[column] for entry in names] for column in ("id", "group")} if names else {}
    return {
        "n": n,
        "lmar": {name: _lmar_intervals(kept, weights, text=text) for name, text in ratios.items()},
        "visual_share": _intervals(weights @ kept.mass["visual"].T),
        "visual_attention": _intervals(weights @ each[:, None])[0],
        "samples": columns | {"visual_attention": each.tolist()} | _record(kept),
    }


def _record(attention: ModalityAttention) -> dict[str, Any]:
    """The record itself, as plain numbers."""
    mass = {group: [_short(layer) for layer in value] for group, value in attention.mass.items()}
    return {"mass": mass, "counts": {group: _short(count) for group, count in attention.counts.items()}}


def _short(values: np.ndarray) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]


def _filled(attention: ModalityAttention) -> np.ndarray:
    """(n,) bool: the samples for which every ratio is a number."""
    filled: np.ndarray = np.all([count > 0 for count in attention.counts.values()], axis=0)
    if not filled.any():
        raise DataError("attention: no sample has queries that see visual and text tokens; allowed one or more")
    return filled


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
