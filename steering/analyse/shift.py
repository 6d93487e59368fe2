"""How attention moves with an arm: its LMAR by layer over training seeds, and against the control's.

    LMAR of a sample in a layer = attention per visual token / attention per text token   (MoReS paper, Eq. 2)
    curve of an arm             = geometric mean over training seeds of the mean over samples, or of the ratio of the
                                  means; of the share on visual positions the mean
    shift of an arm             = exp of the mean over training seeds and samples of log(LMAR of the arm / LMAR of the
                                  control), each the mean over a span of layers, without the sink

Both seeds and groups of questions are samples (`over_seeds`); shifts are paired by both and tested as scores are
(`over_seeds.paired_difference_over_seeds`), with Holm's correction over all arms and spans. Each run is measured where
it gives its own answers. Where an experiment tunes on several mixtures, each mixture's run counts as a seed's.

Shapes: l layers, n samples that all runs in question have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from steering.analyse import over_seeds, statistics, tables
from steering.analyse.reading import told_p
from steering.analyse.statistics import Array, Interval, Statistic

Entry = Mapping[str, Any]
PerToken = Mapping[str, Array]
"""Modality -> (l, n), the attention on one of its tokens; "share": the attention on all visual positions."""

Start = tuple[str, int]
"""A mixture and a training seed: what a run of an arm and one of the control have in common."""

COLUMNS = ["arm", "variant", "layer", "value", "low", "high"]
SHIFTS = ["arm", "span", "seeds", "n", "factor", "low", "high", "p", "p_holm", "verdict"]
SPANS = {"all layers": (0, 2), "first half": (0, 1), "second half": (1, 2)}  # from and up to, in halves
SHARE = "share on visual positions"


def mean_of_ratios(text: str) -> Callable[[PerToken], Statistic]:
    """LMAR by layer as Eq. 2 has it; *text*: the modality that stands for text."""
    return lambda seen: _mean(seen["visual"] / seen[text])


def ratio_of_means(text: str) -> Callable[[PerToken], Statistic]:
    return lambda seen: lambda weights: (weights @ seen["visual"].T) / (weights @ seen[text].T)


LMAR = {
    "without first token, mean of ratios": mean_of_ratios("text_without_sink"),
    "without first token, ratio of means": ratio_of_means("text_without_sink"),
    "with first token, mean of ratios": mean_of_ratios("text"),
    "with first token, ratio of means": ratio_of_means("text"),
}
CURVES = LMAR | {SHARE: lambda seen: _mean(seen["share"])}


def _mean(values: Array) -> Statistic:
    """The weighted means of *values* (l, n)."""
    return lambda weights: (weights @ values.T) / weights.sum(axis=-1, keepdims=True)


def curves(entries: Sequence[Entry], arms: Sequence[str]) -> pd.DataFrame:
    """COLUMNS: each of CURVES for each of *arms* by layer, counted from 1. *entries*: files attention.json."""
    rows = [row for arm in arms if (own := list(_of(entries, arm).values())) for row in _curves(arm, own)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _curves(arm: str, entries: Sequence[Entry]) -> Iterator[dict[str, Any]]:
    groups = _groups(entries)
    seen = [_per_token(entry, list(groups)) for entry in entries]
    for variant, curve in CURVES.items():
        over = _ratios_over_seeds if variant in LMAR else _shares_over_seeds
        for layer, point in enumerate(over([curve(one) for one in seen], list(groups.values())), start=1):
            yield {"arm": arm, "variant": variant, "layer": layer, **point.as_dict()}


def _ratios_over_seeds(statistics: Sequence[Statistic], groups: Sequence[str]) -> list[Interval]:
    """In logarithms, for what is taken times something has no end below 0."""
    logs = [lambda weights, own=own: np.log(own(weights)) for own in statistics]  # type: ignore[misc]
    found = over_seeds.curve_over_seeds(logs, groups)
    return [Interval(*np.exp([point.value, point.low, point.high]).tolist()) for point in found]


def _shares_over_seeds(statistics: Sequence[Statistic], groups: Sequence[str]) -> list[Interval]:
    return [point.within(0, 1) for point in over_seeds.curve_over_seeds(statistics, groups)]


def shifts(entries: Sequence[Entry], *, arms: Sequence[str], control: str) -> pd.DataFrame:
    """SHIFTS: each of *arms* against *control* in all layers and in either half; those that share no seed left out."""
    rows = [row for arm in arms if arm != control for row in _shifts(_of(entries, arm), _of(entries, control))]
    for row, p_holm in zip(rows, statistics.holm([row["p"] for row in rows]), strict=True):
        row |= {"p_holm": p_holm, "verdict": tables.verdict(np.log(row["low"]), np.log(row["high"]), p_holm)}
    return pd.DataFrame(rows, columns=SHIFTS)


def _shifts(ours: Mapping[Start, Entry], theirs: Mapping[Start, Entry]) -> Iterator[dict[str, Any]]:
    shared = [start for start in ours if start in theirs]
    if not shared:
        return
    for span in SPANS:
        firsts, seconds = ([_logs(runs[start], span) for start in shared] for runs in (ours, theirs))
        found = over_seeds.paired_difference_over_seeds(firsts, seconds, column="log_lmar")
        factors = {"factor": np.exp(found.value), "low": np.exp(found.low), "high": np.exp(found.high)}
        told = {"arm": ours[shared[0]]["arm"], "span": span, "seeds": len({seed for _, seed in shared}), "n": found.n}
        yield told | factors | {"p": found.p}


def _logs(entry: Entry, span: str) -> dict[str, Sequence[Any]]:
    """The log of each sample's LMAR, the mean over the layers of *span*, beside its id and group."""
    samples = entry["samples"]
    seen = _per_token(entry, samples["id"])
    ratios = seen["visual"] / seen["text_without_sink"]  # (l, n)
    first, last = (end * ((len(ratios) + 1) // 2) for end in SPANS[span])
    logs = np.log(ratios[first:last].mean(0))
    return {"id": samples["id"], "group": samples["group"], "log_lmar": logs.tolist()}


def to_read(frame: pd.DataFrame, control: str) -> pd.DataFrame:
    """The table a person reads of `shifts`: a factor for each arm and span, its interval and corrected p."""
    rows = [
        {"arm": arm} | {f"LMAR / {control}'s, {row.span}": _told(row) for row in own.itertuples()}
        for arm, own in frame.groupby("arm", sort=False)
    ]
    return pd.DataFrame(rows)


def _told(row: Any) -> str:
    return f"{row.factor:.2f} [{row.low:.2f}, {row.high:.2f}], p {told_p(row.p_holm)}"


def _of(entries: Sequence[Entry], arm: str) -> dict[Start, Entry]:
    """The files of *arm*'s runs; those of an older make, without each sample's masses, are left out."""
    own = [entry for entry in entries if entry["arm"] == arm and "mass" in entry.get("samples", {})]
    return {(entry["run"].split("/")[1], entry["seed"]): entry for entry in own}


def _groups(entries: Sequence[Entry]) -> dict[Any, Any]:
    """{id: group} of the samples that all *entries* have, in the first one's order."""
    known = [set(entry["samples"]["id"]) for entry in entries]
    first = entries[0]["samples"]
    return {
        key: group for key, group in zip(first["id"], first["group"], strict=True) if all(key in one for one in known)
    }


def _per_token(entry: Entry, ids: Sequence[Any]) -> PerToken:
    samples = entry["samples"]
    at = [samples["id"].index(key) for key in ids]
    mass = {modality: np.array(value)[:, at] for modality, value in samples["mass"].items()}
    tokens = {modality: np.array(count)[at] for modality, count in samples["counts"].items()}
    return {modality: value / tokens[modality] for modality, value in mass.items()} | {"share": mass["visual"]}
