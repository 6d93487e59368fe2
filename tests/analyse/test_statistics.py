"""Intervals cover, tests keep their level, groups that agree widen the interval, and edge cases stay defined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steering.analyse.statistics import (
    WEIGHTS_HELD,
    Interval,
    holm,
    interval,
    intervals,
    mean_of,
    paired_difference,
)
from steering.errors import DataError


def outcomes(values, groups=None, ids=None):
    ids = [str(i) for i in range(len(values))] if ids is None else ids
    return {"id": ids, "group": ids if groups is None else groups, "correct": list(values)}


def clustered(random, *, groups, size, spread):
    """0/1 answers (groups * size,) whose chance of being right varies by group around one half."""
    chance = np.clip(0.5 + spread * random.standard_normal(groups), 0, 1)
    return (random.random((groups, size)) < chance[:, None]).astype(float).ravel()


def test_interval_covers_the_truth_about_95_percent_of_the_time():
    random, groups = np.random.default_rng(1), np.repeat(np.arange(60), 4)
    found = [
        interval(mean_of(clustered(random, groups=60, size=4, spread=0.2)), groups, resamples=300, seed=k)
        for k in range(400)
    ]
    coverage = np.mean([one.low <= 0.5 <= one.high for one in found])
    # Standard error of the coverage is .011; the percentile bootstrap and 300 resamples cost about .01.
    assert 0.905 < coverage < 0.98


def test_ignoring_groups_would_not_cover():
    random = np.random.default_rng(2)
    found = [
        interval(mean_of(clustered(random, groups=30, size=8, spread=0.4)), range(240), resamples=200, seed=k)
        for k in range(150)
    ]
    assert np.mean([one.low <= 0.5 <= one.high for one in found]) < 0.85


def test_interval_agrees_with_the_normal_approximation():
    values = (np.random.default_rng(3).random(1000) < 0.7).astype(float)
    found = interval(mean_of(values), range(1000), resamples=4000)
    half = 1.96 * values.std() / np.sqrt(1000)
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.004)


def test_clusters_that_agree_widen_the_interval():
    values = np.repeat((np.arange(40) % 2).astype(float), 10)
    alone = interval(mean_of(values), range(400))
    together = interval(mean_of(values), np.repeat(np.arange(40), 10))
    ratio = (together.high - together.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(np.sqrt(10), rel=0.15)


def test_one_group_has_no_width():
    assert interval(mean_of([0.0, 1.0, 1.0, 1.0]), ["a"] * 4) == Interval(0.75, 0.75, 0.75)


def test_all_right_stays_all_right():
    assert interval(mean_of(np.ones(20)), range(20)) == Interval(1.0, 1.0, 1.0)


def test_no_questions_is_an_error():
    with pytest.raises(DataError, match="at least one"):
        interval(mean_of([]), [])


def test_an_undefined_statistic_is_nan_and_becomes_none():
    found = interval(lambda weights: np.full(weights.shape[:-1], np.nan), range(5))
    assert np.isnan([found.value, found.low, found.high]).all()
    assert found.as_dict() == {"value": None, "low": None, "high": None}


def test_resamples_without_a_value_are_left_out():
    rare = np.zeros(30)
    rare[0] = 1.0

    def share_of_rare(weights):
        below = weights @ rare
        return np.where(below > 0, below / np.where(below > 0, below, 1), np.nan)

    assert interval(share_of_rare, range(30)) == Interval(1.0, 1.0, 1.0)


def test_same_seed_gives_the_same_interval_and_chunks_do_not_matter(monkeypatch):
    values = np.random.default_rng(4).random(50)
    whole = interval(mean_of(values), range(50), resamples=100, seed=7)
    monkeypatch.setattr("steering.analyse.statistics.WEIGHTS_HELD", 50 * 7)
    chunked = interval(mean_of(values), range(50), resamples=100, seed=7)
    other = interval(mean_of(values), range(50), resamples=100, seed=8)
    # Products of matrices round differently by their size.
    assert (chunked.low, chunked.high) == pytest.approx((whole.low, whole.high), rel=1e-12)
    assert abs(other.low - whole.low) > 1e-6
    assert WEIGHTS_HELD * 8 < 64e6


def test_several_statistics_share_their_resamples():
    values = np.random.default_rng(5).random(30)
    both = intervals({"one": mean_of(values), "less": mean_of(1 - values)}, range(30))
    assert both["less"].low == pytest.approx(1 - both["one"].high)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_interval_stays_within_the_values(values, size):
    groups = [i // size for i in range(len(values))]
    found = interval(mean_of(values), groups, resamples=50)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9


def test_paired_test_keeps_its_level_under_the_null():
    random, groups = np.random.default_rng(6), list(np.repeat(np.arange(40), 3))
    found = []
    for k in range(400):
        base = clustered(random, groups=40, size=3, spread=0.3)
        noise = [np.where(random.random(120) < 0.2, 1 - base, base) for _ in range(2)]
        found.append(paired_difference(outcomes(noise[0], groups), outcomes(noise[1], groups), resamples=199, seed=k).p)
    # 400 tests at .05: standard error .011.
    assert 0.015 < np.mean(np.array(found) <= 0.05) < 0.09


def test_paired_test_finds_a_difference():
    random = np.random.default_rng(7)
    weak = (random.random(200) < 0.5).astype(float)
    strong = np.maximum(weak, random.random(200) < 0.2)
    found = paired_difference(outcomes(strong), outcomes(weak))
    assert found.value == pytest.approx(strong.mean() - weak.mean())
    assert 0 < found.low < found.value < found.high
    assert found.p < 0.002
    assert "sign flips of 200 groups" in found.test


def test_paired_difference_is_antisymmetric():
    random = np.random.default_rng(8)
    one, two = outcomes(random.random(30)), outcomes(random.random(30))
    forth, back = paired_difference(one, two), paired_difference(two, one)
    assert (forth.value, forth.p) == pytest.approx((-back.value, back.p))
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))


def test_equal_answers_differ_by_nothing_with_p_one():
    found = paired_difference(outcomes([1, 0, 1]), outcomes([1, 0, 1]))
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_one_group_cannot_be_significant():
    found = paired_difference(outcomes([1] * 50, ["a"] * 50), outcomes([0] * 50, ["a"] * 50))
    assert found.p == 1


def test_sign_flips_agree_with_all_flips_counted():
    differences = np.array([0.5, 1.0, -0.25, 0.75, 1.0, -0.5])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 6)).reshape(6, -1).T
    exact = np.mean(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-12)
    found = paired_difference(outcomes(differences), outcomes(np.zeros(6)), resamples=20000)
    assert found.p == pytest.approx(exact, abs=0.012)


def test_holm_agrees_with_the_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_leaves_undefined_tests_out():
    adjusted = holm([0.02, float("nan"), 0.5])
    assert adjusted[0] == pytest.approx(0.04)
    assert np.isnan(adjusted[1])


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_agrees_with_its_definition(p_values):
    by_definition = []
    for p in p_values:
        before = sorted(p_values)[: sorted(p_values).index(p) + 1]
        by_definition.append(min(1, max((len(p_values) - rank) * q for rank, q in enumerate(before))))
    assert holm(p_values) == pytest.approx(by_definition)
