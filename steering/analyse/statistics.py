"""Intervals and comparisons for scores whose questions come in groups (several questions on one picture).

Cluster bootstrap (percentile): a resample draws as many groups as there are, with replacement; each question weighs as
often as its group was drawn; value = statistic under equal weights, low and high = quantiles over the resamples.
A statistic maps weights (..., n) to values (...), so that a bootstrap is a matrix of weights.
Differences carry a two-sided p by a sign-flip randomisation test over groups; several of them take Holm's correction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

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
class Interval:
    """A value with the ends of its confidence interval; nan where undefined."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float | None]:
        """{"value", "low", "high"} for JSON, None in place of nan."""
        return {name: None if np.isnan(number) else number for name, number in asdict(self).items()}


@dataclass(frozen=True)
class Difference:
    """first - second, its interval, its two-sided p with the name of the test, and the questions and groups shared."""

    value: float
    low: float
    high: float
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
    index, count = _indexed(groups)
    drawn: dict[str, list[Array]] = {name: [] for name in statistics}
    for weights in _resampled(index, count, resamples, seed):
        for name, statistic in statistics.items():
            drawn[name].append(np.asarray(statistic(weights)))
    everyone = np.ones(len(index))
    return {
        name: _interval(float(statistic(everyone)), np.concatenate(drawn[name]), level)
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


def hierarchical(
    statistics: Sequence[Statistic],
    groups: Sequence[Any],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> Interval:
    """The interval of a mean over training seeds: seeds are resampled, then groups.

    statistics: one per training seed, over the very same questions with *groups* (n labels). Seeds and questions are
    crossed, so one resample uses the same groups for all its seeds; drawing them anew would shrink the questions'
    share of the variance by the number of seeds. Few seeds (2 or 3) still give too narrow an interval.
    """
    points = [lambda weights, own=own: np.asarray(own(weights))[..., None] for own in statistics]  # type: ignore[misc]
    return hierarchical_curve(points, groups, resamples=resamples, seed=seed, level=level)[0]


def hierarchical_curve(
    statistics: Sequence[Statistic],
    groups: Sequence[Any],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> list[Interval]:
    """`hierarchical` for every point of a curve, all points over the same resamples.

    statistics: one per training seed, from weights (..., n) to values (..., points).
    """
    index, count = _indexed(groups)
    means = _seed_means(statistics, index, count, resamples, seed)  # (resamples, points)
    values = np.mean([statistic(np.ones(len(index))) for statistic in statistics], axis=0)
    return [_interval(float(value), drawn, level) for value, drawn in zip(values, means.T, strict=True)]


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
    the mean paired difference. p: a randomisation test that flips the sign of each group's summed difference, counting
    flips at least as far from 0, (1 + count) / (1 + resamples). Raises DataError as `paired` does.
    """
    groups, (differences,) = paired([first], [second], column)
    found = interval(mean_of(differences), groups, resamples=resamples, seed=seed, level=level)
    index, count = _indexed(groups)
    p = _sign_flip(np.bincount(index, weights=differences, minlength=count).astype(float), resamples, seed)
    test = f"two-sided sign flips of {count} groups, {resamples} draws"
    return Difference(found.value, found.low, found.high, p, test, len(differences), count)


def paired_difference_over_seeds(
    firsts: Sequence[Mapping[str, Sequence[Any]]],
    seconds: Sequence[Mapping[str, Sequence[Any]]],
    *,
    column: str = "correct",
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> Difference:
    """The difference of two arms, each with one score per training seed, paired seed by seed and question by question.

    The interval is the hierarchical bootstrap's. p: twice the smaller share of resamples at or beyond 0, each share
    with one resample added; the sign-flip test knows nothing of seeds. One seed gives paired_difference. Raises
    DataError for unequal numbers of seeds or where no question is in all scores.
    """
    if not firsts or len(firsts) != len(seconds):
        raise DataError(
            f"statistics: {len(firsts)} and {len(seconds)} training seeds; a paired difference takes as many"
        )
    if len(firsts) == 1:
        return paired_difference(firsts[0], seconds[0], column=column, resamples=resamples, seed=seed, level=level)
    groups, differences = paired(firsts, seconds, column)
    statistics = [mean_of(own) for own in differences]
    return difference_over_seeds(statistics, groups, resamples=resamples, seed=seed, level=level)


def difference_over_seeds(
    statistics: Sequence[Statistic],
    groups: Sequence[Any],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> Difference:
    """The mean over training seeds of statistics that are differences already, with the hierarchical bootstrap's p.

    statistics: one per training seed, over the very same questions with *groups* (n labels).
    """
    index, count = _indexed(groups)
    drawn = _seed_means(statistics, index, count, resamples, seed)
    value = float(np.mean([statistic(np.ones(len(index))) for statistic in statistics]))
    found = _interval(value, drawn, level)
    p = min(1.0, 2 * (1 + min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))) / (1 + resamples))
    test = f"two-sided hierarchical bootstrap of {len(statistics)} seeds and {count} groups, {resamples} resamples"
    return Difference(found.value, found.low, found.high, p, test, len(index), count)


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


def _indexed(groups: Sequence[Any]) -> tuple[NDArray[np.intp], int]:
    """(n,) positions of the groups' labels among the distinct ones, and their count."""
    if len(groups) == 0:
        raise DataError("statistics: no questions; an interval needs at least one")
    names, index = np.unique(np.asarray([str(group) for group in groups]), return_inverse=True)
    return index, len(names)


def _resampled(index: NDArray[np.intp], count: int, resamples: int, seed: int) -> Iterator[Array]:
    """Weights (r, n) of chunks of resamples, *resamples* rows in all; the chunks' size does not change the draws."""
    random = np.random.default_rng(seed)
    rows = max(1, WEIGHTS_HELD // max(len(index), count))
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = random.multinomial(count, np.full(count, 1 / count), size=size)  # (r, g)
        yield drawn[:, index].astype(float)  # (r, n)


def _interval(value: float, drawn: Array, level: float) -> Interval:
    defined = drawn[~np.isnan(drawn)]
    if np.isnan(value) or defined.size == 0:
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


def _seed_means(
    statistics: Sequence[Statistic], index: NDArray[np.intp], count: int, resamples: int, seed: int
) -> Array:
    """(resamples, ...) the mean over resampled training seeds of each statistic under resampled groups."""
    if not statistics:
        raise DataError("statistics: no training seeds; an interval over seeds needs at least one")
    chunks = [[statistic(weights) for statistic in statistics] for weights in _resampled(index, count, resamples, seed)]
    values = np.concatenate([np.stack(chunk) for chunk in chunks], axis=1)  # (s, resamples, ...)
    s = len(statistics)
    drawn = np.random.default_rng((seed, s)).multinomial(s, np.full(s, 1 / s), size=resamples)  # (resamples, s)
    often = drawn.T.reshape(s, resamples, *[1] * (values.ndim - 2))
    # A seed that was not drawn must not spread its nan.
    return np.where(often > 0, values * often, 0.0).sum(axis=0) / s


def _sign_flip(sums: Array, resamples: int, seed: int) -> float:
    """Two-sided p of the total of *sums* (g,) under random signs."""
    random = np.random.default_rng(seed)
    far = abs(sums.sum()) - 1e-9 * max(1.0, float(np.abs(sums).sum()))
    rows = max(1, WEIGHTS_HELD // len(sums))
    count = 0
    for start in range(0, resamples, rows):
        signs = random.choice([-1.0, 1.0], size=(min(rows, resamples - start), len(sums)))
        count += int((np.abs(signs @ sums) >= far).sum())
    return (1 + count) / (1 + resamples)
