"""What the tries of control by token editing add up to: rows of (kind, number of tokens) with 95 % intervals.

Every number is a ratio of sums over tries, so that a question with more bystanders weighs more; intervals are over
questions (one a picture) and, where a run was trained with several seeds, seeds (steering.analyse.over_seeds).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from steering.analyse.over_seeds import mean_over_seeds
from steering.analyse.statistics import Interval, Statistic
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
SHARES = ("success", "decoy_hit", "probability", "changed_", "right_")
"""How the names of measures begin that lie between 0 and 1."""


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


def contrast(seeds: Sequence[Sequence[Line]], *, less: str = "random", kind: str = "object") -> list[dict[str, Any]]:
    """What *kind* has more of than *less* with as many tokens, question by question, for each number that both have.

    Rows of tokens, questions, and {value, low, high} of the differences in success and gain.
    """
    numbers = [number for name, number in _pairs(seeds) if name == kind]
    return [row for tokens in numbers if (row := _difference(seeds, kind, less, tokens))["questions"]]


def _difference(seeds: Sequence[Sequence[Line]], kind: str, less: str, tokens: int) -> dict[str, Any]:
    first, second = (_found(seeds, name, tokens) for name in (kind, less))
    shared = [key for key in first[0] if all(key in own for own in (*first, *second))]
    paired = [
        [
            {name: ours[key][name] - theirs[key][name] for name in ("success", "gain")} | {"group": ours[key]["group"]}
            for key in shared
        ]
        for ours, theirs in zip(first, second, strict=True)
    ]
    told = {name: _interval(_each(name), paired).as_dict() for name in ("success", "gain")}
    return {"tokens": tokens, "questions": len(shared), **told}


def _found(seeds: Sequence[Sequence[Line]], kind: str, tokens: int) -> list[dict[str, Line]]:
    """Each seed's tries of *kind* with so many tokens, by question."""
    return [{line["id"]: line for line in lines if (line["kind"], line["tokens"]) == (kind, tokens)} for lines in seeds]


def _row(kind: str, tokens: int, seeds: Sequence[Sequence[Line]]) -> dict[str, Any]:
    found = _found(seeds, kind, tokens)
    shared = [key for key in found[0] if all(key in own for own in found)]
    tried = [[own[key] for key in shared] for own in found]
    edited = [line["edited"] for lines in tried for line in lines]
    about = {"kind": kind, "tokens": tokens, "questions": len(shared), "edited": float(np.mean(edited or [0]))}
    return about | {name: _interval(parts, tried).within(*_ends(name)).as_dict() for name, parts in MEASURES.items()}


def _ends(name: str) -> tuple[float, float]:
    """Between which numbers a measure lies."""
    return (0, 1) if name.startswith(SHARES) else (-math.inf, math.inf)


def _interval(parts: Callable[[Line], Parts], tried: Sequence[Sequence[Line]]) -> Interval:
    if not tried[0]:
        return Interval(*[float("nan")] * 3)
    return mean_over_seeds([_ratio(parts, lines) for lines in tried], [line["group"] for line in tried[0]])


def _ratio(parts: Callable[[Line], Parts], lines: Sequence[Line]) -> Statistic:
    part, whole = np.array([parts(line) for line in lines], dtype=float).T

    def statistic(weights: Array) -> Array:
        return ratio(weights @ part, weights @ whole)

    return statistic
