"""Intervals and comparisons of means over training seeds, each seed asked the very same questions.

Seeds and questions are crossed, and both are samples of more. Q is the variance of the mean over seeds under resampled
groups of questions; S, the variance between s seeds over s, has in it N, the noise of single answers, which Q has too.

    interval = value ± t sqrt(Q + max(0, S - N))

with Student's t at the degrees of freedom that Satterthwaite (1946) gives the sum: few where seeds differ, for a few of
them tell little of how far seeds lie apart, and many where they do not. Resampling seeds as if they were questions
knows nothing of that: where they differ much its 95 % cover 78 with three seeds and 59 with two, these 94 and 88
(tests/analyse/test_over_seeds.py simulates both).

One seed has the interval of its questions alone (`statistics.interval`).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.stats import t

from steering.analyse.pairing import paired
from steering.analyse.statistics import (
    LEVEL,
    RESAMPLES,
    Array,
    Difference,
    Interval,
    Statistic,
    indexed,
    mean_of,
    paired_difference,
    quantiles,
    resampled,
)
from steering.errors import DataError


def mean_over_seeds(
    statistics: Sequence[Statistic],
    groups: Sequence[Any],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The mean over training seeds of *statistics*, one per seed over the same questions with *groups* (n labels)."""
    return curve_over_seeds(_points(statistics), groups, resamples=resamples, seed=seed)[0]


def curve_over_seeds(
    statistics: Sequence[Statistic],
    groups: Sequence[Any],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Interval]:
    """`mean_over_seeds` for every point of a curve, all points over the same resamples.

    statistics: one per training seed, from weights (..., n) to values (..., points).
    """
    drawn = _Drawn.of(statistics, groups, resamples, seed)
    return [drawn.point(at).interval for at in range(drawn.values.shape[1])]


def difference_over_seeds(
    statistics: Sequence[Statistic],
    groups: Sequence[Any],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """The mean over training seeds of statistics that are differences already, with a two-sided p that it is 0.

    statistics: one per training seed, over the very same questions with *groups* (n labels).
    """
    drawn = _Drawn.of(_points(statistics), groups, resamples, seed)
    found = drawn.point(0)
    own = found.interval
    return Difference(own.value, own.low, own.high, found.p, found.test, len(groups), drawn.groups)


def paired_difference_over_seeds(
    firsts: Sequence[Mapping[str, Sequence[Any]]],
    seconds: Sequence[Mapping[str, Sequence[Any]]],
    *,
    column: str = "correct",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """The difference of two arms, each with one score per training seed, paired seed by seed and question by question.

    One seed gives `paired_difference`, whose test asks of the questions alone. Raises DataError for unequal numbers of
    seeds or where no question is in all scores.
    """
    if not firsts or len(firsts) != len(seconds):
        raise DataError(
            f"statistics: {len(firsts)} and {len(seconds)} training seeds; a paired difference takes as many"
        )
    if len(firsts) == 1:
        return paired_difference(firsts[0], seconds[0], column=column, resamples=resamples, seed=seed)
    groups, differences = paired(firsts, seconds, column)
    statistics = [mean_of(own) for own in differences]
    return difference_over_seeds(statistics, groups, resamples=resamples, seed=seed)


def _points(statistics: Sequence[Statistic]) -> list[Statistic]:
    """Each as a curve of one point."""
    return [lambda weights, own=own: np.asarray(own(weights))[..., None] for own in statistics]  # type: ignore[misc]


@dataclass(frozen=True)
class _Point:
    """One number: values (s,) of its seeds, drawn (s, r) under resampled groups."""

    values: Array
    drawn: Array
    groups: int

    @property
    def value(self) -> float:
        return float(self.values.mean())

    @property
    def interval(self) -> Interval:
        if len(self.values) == 1:
            return quantiles(self.value, self.drawn[0], LEVEL)
        error, freedom = self._error
        reach = float(t.ppf((1 + LEVEL) / 2, freedom)) * error
        return Interval(self.value, self.value - reach, self.value + reach)

    @property
    def p(self) -> float:
        """Of one seed twice the smaller share of resamples at or beyond 0, each share with one resample added."""
        if len(self.values) == 1:
            beyond = min((self.drawn <= 0).sum(), (self.drawn >= 0).sum())
            return min(1.0, 2 * (1 + int(beyond)) / (1 + self.drawn.size))
        error, freedom = self._error
        return float(2 * t.sf(abs(self.value) / error, freedom)) if error else float(self.value == 0)

    @property
    def test(self) -> str:
        if len(self.values) == 1:
            return f"two-sided bootstrap of {self.groups} groups, {self.drawn.size} resamples"
        told = f"{len(self.values)} seeds and {self.groups} groups, {self.drawn.shape[1]} resamples"
        return f"two-sided t of {self._error[1]:.1f} degrees of freedom, {told}"

    @cached_property
    def _error(self) -> tuple[float, float]:
        """The standard error of the mean over seeds, and its degrees of freedom."""
        count = len(self.values)
        questions, single = _variance(self.drawn.mean(0)), float(np.mean([_variance(own) for own in self.drawn]))
        noise = min(questions, max(0.0, single - questions) / (count - 1))  # of single answers, in both variances
        seeds = float(self.values.var(ddof=1)) / count
        variance = questions + max(0.0, seeds - noise)
        parts = questions**2 / max(1, self.groups - 1) + seeds**2 / (count - 1)
        return variance**0.5, variance**2 / parts if parts else 1.0


@dataclass(frozen=True)
class _Drawn:
    """values (s, points) of each seed, and drawn (s, r, points) under resampled groups."""

    values: Array
    drawn: Array
    groups: int

    @classmethod
    def of(cls, statistics: Sequence[Statistic], groups: Sequence[Any], resamples: int, seed: int) -> _Drawn:
        if not statistics:
            raise DataError("statistics: no training seeds; an interval over seeds needs at least one")
        index, count = indexed(groups)
        values = np.stack([np.asarray(statistic(np.ones(len(index)))) for statistic in statistics])
        chunks = [
            [statistic(weights) for statistic in statistics] for weights in resampled(index, count, resamples, seed)
        ]
        return cls(values, np.concatenate([np.stack(chunk) for chunk in chunks], axis=1), count)

    def point(self, at: int) -> _Point:
        return _Point(self.values[:, at], self.drawn[:, :, at], self.groups)


def _variance(drawn: Array) -> float:
    """Of resamples where the statistic is defined."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # nan of fewer than two
        return float(np.nanvar(drawn, ddof=1))
