"""What the tries of control by token editing add up to: rows of (kind, number of tokens) with 95 % intervals.

Every number is a ratio of sums over tries, so that a question with more bystanders weighs more; intervals resample
questions (one a picture) and, where a run was trained with several seeds, seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from steering.analyse.statistics import Interval, Statistic, hierarchical
from steering.evaluate.benchmarks.form import Array, ratio

Line = Mapping[str, Any]
Parts = tuple[float, float]


def _each(name: str) -> Callable[[Line], Parts]:
    """The mean of *name* over tries; those without a value do not count."""
    return lambda line: (0.0, 0.0) if line[name] is None else (line[name], 1.0)


def _of(whose: str, name: str, *, less: str | None = None) -> Callable[[Line], Parts]:
    """The share of bystanders that are *name*, or that minus the share that are *less*."""
    return lambda line: (line[whose][name] - (line[whose][less] if less else 0.0), line[whose]["asked"])


MEASURES: Mapping[str, Callable[[Line], Parts]] = {
    **{name: _each(name) for name in ("success", "decoy_hit", "gain", "probability", "norm", "steps")},
    **{f"changed_{whose}": _of(whose, "changed") for whose in ("same", "others")},
    **{f"{name}_{whose}": _of(whose, name) for whose in ("same", "others") for name in ("right_before", "right_after")},
    **{f"accuracy_{whose}": _of(whose, "right_after", less="right_before") for whose in ("same", "others")},
}
"""accuracy_: right after less right before."""


def summary(seeds: Sequence[Sequence[Line]]) -> list[dict[str, Any]]:
    """A row for each kind and number of tokens: kind, tokens, questions, edited and {value, low, high} of MEASURES.

    seeds: the tries of each training seed of one arm; of a kind and number, the questions that all of them tried.
    """
    return [_row(kind, tokens, seeds) for kind, tokens in _pairs(seeds)]


def _pairs(seeds: Sequence[Sequence[Line]]) -> list[tuple[str, int]]:
    """The kinds in the order of the first tries, their numbers rising."""
    pairs = dict.fromkeys((line["kind"], line["tokens"]) for lines in seeds for line in lines)
    kinds = list(dict.fromkeys(kind for kind, _ in pairs))
    return sorted(pairs, key=lambda pair: (kinds.index(pair[0]), pair[1]))


def _row(kind: str, tokens: int, seeds: Sequence[Sequence[Line]]) -> dict[str, Any]:
    found = [
        {line["id"]: line for line in lines if (line["kind"], line["tokens"]) == (kind, tokens)} for lines in seeds
    ]
    shared = [key for key in found[0] if all(key in own for own in found)]
    tried = [[own[key] for key in shared] for own in found]
    edited = [line["edited"] for lines in tried for line in lines]
    about = {"kind": kind, "tokens": tokens, "questions": len(shared), "edited": float(np.mean(edited or [0]))}
    return about | {name: _interval(parts, tried).as_dict() for name, parts in MEASURES.items()}


def _interval(parts: Callable[[Line], Parts], tried: Sequence[Sequence[Line]]) -> Interval:
    if not tried[0]:
        return Interval(*[float("nan")] * 3)
    return hierarchical([_ratio(parts, lines) for lines in tried], [line["group"] for line in tried[0]])


def _ratio(parts: Callable[[Line], Parts], lines: Sequence[Line]) -> Statistic:
    part, whole = np.array([parts(line) for line in lines], dtype=float).T

    def statistic(weights: Array) -> Array:
        return ratio(weights @ part, weights @ whole)

    return statistic
