"""Scores question by question: what two arms' outcomes have in common, and how far they differ there.

Outcomes are columns of equal length, among them "id" and "group": a question and what it is asked about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steering.errors import DataError

Outcomes = Mapping[str, Sequence[Any]]


def paired(
    firsts: Sequence[Outcomes], seconds: Sequence[Outcomes], column: str
) -> tuple[list[Any], list[NDArray[np.float64]]]:
    """The groups (n) of the questions that all scores have, and first[column] - second[column] (n,) for each pair.

    firsts, seconds: the outcomes of two arms, one of each per training seed. Raises DataError where a pair shares no
    question, all pairs together share none, a shared question has two groups, or a column is missing.
    """
    seeds = [_differences(first, second, column) for first, second in zip(firsts, seconds, strict=True)]
    shared = [key for key in seeds[0] if all(key in seed for seed in seeds)]
    _refuse_none(shared)
    differences = [np.array([seed[key][1] for key in shared], dtype=float) for seed in seeds]
    return [seeds[0][key][0] for key in shared], differences


def _differences(first: Outcomes, second: Outcomes, column: str) -> dict[Any, tuple[Any, float]]:
    """{shared id: (group, difference of *column*)}."""
    ours, theirs = _of(first, column), _of(second, column)
    shared = [key for key in ours if key in theirs]
    _refuse_none(shared)
    moved = [key for key in shared if ours[key][0] != theirs[key][0]]
    if moved:
        raise DataError(f"statistics: {len(moved)} questions have two groups, first {moved[:3]}; allowed is one")
    return {key: (ours[key][0], ours[key][1] - theirs[key][1]) for key in shared}


def _of(outcomes: Outcomes, column: str) -> dict[Any, tuple[Any, Any]]:
    """{id: (group, value of *column*)}."""
    missing = [name for name in ("id", "group", column) if name not in outcomes]
    if missing:
        raise DataError(f"statistics: outcomes lack {', '.join(missing)}; found {', '.join(outcomes)}")
    rows = zip(outcomes["id"], outcomes["group"], outcomes[column], strict=True)
    return {key: (group, value) for key, group, value in rows}


def _refuse_none(shared: Sequence[Any]) -> None:
    if not shared:
        raise DataError("statistics: two scores share no question ids; a paired difference needs the same questions")
