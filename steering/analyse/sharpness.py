"""How much the loss rises around what was trained, with an interval, from a run's landscape record.

    rise(d)    = (L(theta + r d) + L(theta - r d)) / (2 L(theta)) - 1        for one random direction d
    sharpness  = mean of rise(d) over the directions
    worst      = max of L / L(theta) - 1 over the points of the plane within r

d is filter-normalised (steering.analyse.landscape), so r is a step relative to the norm of what was trained. Both ways
of a direction are walked: what the loss falls one way, because training had not ended, it rises the other, and what
is left is curvature. The interval is over directions and conversations, crossed (steering.analyse.over_seeds); over
training seeds in place of directions where there are several. The worst rise is Keskar et al.'s (2017) maximum within a
ball, seen on one plane through it and so no more than a lower bound, relative to L where they divide by 1 + L; it has
no interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from steering.analyse.over_seeds import difference_over_seeds, mean_over_seeds
from steering.analyse.statistics import Array, Difference, Interval, Statistic
from steering.errors import DataError

Record = Mapping[str, Any]
"""A run's landscape.json."""


def sharpness(records: Sequence[Record]) -> Interval:
    """The sharpness of one arm, with one record for each training seed."""
    return mean_over_seeds(_rises(records), _groups(records))


def difference(ours: Sequence[Record], theirs: Sequence[Record]) -> Difference:
    """Sharpness of one arm less that of another, paired by direction (or training seed) and by conversation.

    Directions of one name draw equal numbers for what both arms train. Records are paired as they come.
    """
    pairs = zip(_rises(ours), _rises(theirs), strict=True)
    return difference_over_seeds([_less(a, b) for a, b in pairs], _groups([*ours, *theirs]))


def worst(record: Record) -> float:
    """The largest rise on the plane within the radius; nan where a loss there is no number."""
    steps = np.asarray(record["axis"], dtype=float)
    inside = np.hypot(steps[None, :], steps[:, None]) <= record["radius"] * (1 + 1e-9)
    return float(np.asarray(record["loss"], dtype=float)[inside].max() / trained_loss(record) - 1)


def trained_loss(record: Record) -> float:
    """L(theta), the mean over all answer tokens."""
    return float(np.sum(np.asarray(record["sums"]["trained"], dtype=float)) / np.sum(record["conversations"]["tokens"]))


def _rises(records: Sequence[Record]) -> list[Statistic]:
    """One for each direction of the only record, or for each of several records."""
    if len(records) == 1:
        return [_rise(records[0], [ray]) for ray in records[0]["sums"]["rays"]]
    return [_rise(record, record["sums"]["rays"]) for record in records]


def _rise(record: Record, rays: Sequence[Any]) -> Statistic:
    """The mean rise over *rays* (k, 2, c); tokens cancel, for both losses are means over the same ones."""
    moved = np.asarray(rays, dtype=float).mean(axis=(0, 1))  # (c,)
    trained = np.asarray(record["sums"]["trained"], dtype=float)

    def rise(weights: Array) -> Array:
        with np.errstate(invalid="ignore", divide="ignore"):
            return (weights @ moved) / (weights @ trained) - 1

    return rise


def _less(first: Statistic, second: Statistic) -> Statistic:
    return lambda weights: first(weights) - second(weights)


def _groups(records: Sequence[Record]) -> list[str]:
    """The conversations' pictures, once it is sure that all *records* are of the same conversations."""
    first = records[0]["conversations"]
    for record in records[1:]:
        if record["conversations"]["ids"] != first["ids"]:
            raise DataError(f"{record['run']}: other conversations than {records[0]['run']}; measure again")
    return list(first["groups"])


def finite(values: Any) -> Any:
    """*values*, lists and dicts of numbers, with None for what is no finite number, as JSON wants it."""
    if isinstance(values, dict):
        return {name: finite(value) for name, value in values.items()}
    if isinstance(values, list):
        return [finite(value) for value in values]
    return values if math.isfinite(values) else None
