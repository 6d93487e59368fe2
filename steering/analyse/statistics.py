"""Intervals and comparisons for scores whose questions come in groups (several questions on one picture).

Cluster bootstrap (percentile): a resample draws as many groups as there are, with replacement; each question weighs as
often as its group was drawn; value = statistic under equal weights, low and high = quantiles over the resamples.
A statistic maps weights (..., n) to values (...), so that a bootstrap is a matrix of weights.
Differences carry a two-sided p by a sign-flip randomisation test over groups; several of them take Holm's correction.
All of it is of one training seed; steering.analyse.over_seeds has several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from steering.analyse.pairing import paired
from steering.errors import DataError

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]

RESAMPLES = 2000
LEVEL = 0.95
WEIGHTS_HELD = 4_000_000  # numbers held at once: 32 MB of float64


@dataclass(frozen=True)
class _Estimate:
    value: float
    low: float
    high: float

    def within(self, low: float, high: float) -> Self:
        """The same with no more of the interval than can be: the value lies between *low* and *high*, ends may not."""
        return replace(self, low=max(self.low, min(low, self.value)), high=min(self.high, max(high, self.value)))


@dataclass(frozen=True)
class Interval(_Estimate):
    """A value with the ends of its confidence interval; nan where undefined."""

    def as_dict(self) -> dict[str, float | None]:
        """{"value", "low", "high"} for JSON, None in place of nan."""
        return {name: None if np.isnan(number) else number for name, number in asdict(self).items()}


@dataclass(frozen=True)
class Difference(_Estimate):
    """first - second, its interval, its two-sided p with the name of the test, and the questions and groups shared."""

    p: float
    test: str
    n: int
    groups: int


def intervals(
    statistics: Mapping[str, Statistic],
    groups: Sequence[Any],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Interval]:
    """The cluster-bootstrap interval of each statistic, all over the same resamples of *groups* (n labels).

    Raises DataError without any question. One single group gives an interval of no width: it tells nothing.
    """
    index, count = indexed(groups)
    drawn: dict[str, list[Array]] = {name: [] for name in statistics}
    for weights in resampled(index, count, resamples, seed):
        for name, statistic in statistics.items():
            drawn[name].append(np.asarray(statistic(weights)))
    everyone = np.ones(len(index))
    return {
        name: quantiles(float(statistic(everyone)), np.concatenate(drawn[name]), level)
        for name, statistic in statistics.items()
    }


def interval(
    statistic: Statistic,
    groups: Sequence[Any],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> Interval:
    """The cluster-bootstrap interval of one statistic over *groups* (n labels)."""
    return intervals({"it": statistic}, groups, resamples=resamples, seed=seed, level=level)["it"]


def mean_of(values: Sequence[float] | Array) -> Statistic:
    """The weighted mean of *values* (n,) as a statistic of weights (..., n)."""
    column = np.asarray(values, dtype=float)

    def mean(weights: Array) -> Array:
        with np.errstate(invalid="ignore"):  # a resample without any of these questions is nan, and is left out
            return (weights @ column) / weights.sum(axis=-1)

    return mean


def paired_difference(
    first: Mapping[str, Sequence[Any]],
    second: Mapping[str, Sequence[Any]],
    *,
    column: str = "correct",
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> Difference:
    """Mean of first[column] minus that of second[column] over the ids both have.

    first, second: the outcomes of two scores, columns with "id" and "group". The interval is the cluster bootstrap of
    the mean paired difference, p that of `sign_flips`. Raises DataError as `paired` does.
    """
    groups, (differences,) = paired([first], [second], column)
    found = interval(mean_of(differences), groups, resamples=resamples, seed=seed, level=level)
    p = sign_flips(differences, groups, resamples=resamples, seed=seed)
    _, count = indexed(groups)
    test = f"two-sided sign flips of {count} groups, {resamples} draws"
    return Difference(found.value, found.low, found.high, p, test, len(differences), count)


def sign_flips(
    differences: Sequence[float] | Array, groups: Sequence[Any], *, resamples: int = RESAMPLES, seed: int = 0
) -> float:
    """Two-sided p that *differences* (n,) sum to 0, by flips of the sign of each group's sum.

    Counts flips at least as far from 0: (1 + count) / (1 + resamples).
    """
    index, count = indexed(groups)
    sums = np.bincount(index, weights=differences, minlength=count).astype(float)
    return _share_beyond(sums, resamples, seed)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given (Holm 1979); nan stays nan, and is no test."""
    p = np.asarray(p_values, dtype=float)
    adjusted = np.full(len(p), np.nan)
    order = [i for i in np.argsort(p, kind="stable") if not np.isnan(p[i])]
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p[i]))
        adjusted[i] = highest
    return adjusted.tolist()


def indexed(groups: Sequence[Any]) -> tuple[NDArray[np.intp], int]:
    """(n,) positions of the groups' labels among the distinct ones, and their count."""
    if len(groups) == 0:
        raise DataError("statistics: no questions; an interval needs at least one")
    names, index = np.unique(np.asarray([str(group) for group in groups]), return_inverse=True)
    return index, len(names)


def resampled(index: NDArray[np.intp], count: int, resamples: int, seed: int) -> Iterator[Array]:
    """Weights (r, n) of chunks of resamples, *resamples* rows in all; the chunks' size does not change the draws."""
    random = np.random.default_rng(seed)
    rows = max(1, WEIGHTS_HELD // max(len(index), count))
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = random.multinomial(count, np.full(count, 1 / count), size=size)  # (r, g)
        yield drawn[:, index].astype(float)  # (r, n)


def quantiles(value: float, drawn: Array, level: float) -> Interval:
    defined = drawn[~np.isnan(drawn)]
    if np.isnan(value) or defined.size == 0:
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


def _share_beyond(sums: Array, resamples: int, seed: int) -> float:
    """Of random signs of *sums* (g,), the share whose total is at least as far from 0 as theirs, and one more."""
    random = np.random.default_rng(seed)
    far = abs(sums.sum()) - 1e-9 * max(1.0, float(np.abs(sums).sum()))
    rows = max(1, WEIGHTS_HELD // len(sums))
    count = 0
    for start in range(0, resamples, rows):
        signs = random.choice([-1.0, 1.0], size=(min(rows, resamples - start), len(sums)))
        count += int((np.abs(signs @ sums) >= far).sum())
    return (1 + count) / (1 + resamples)
