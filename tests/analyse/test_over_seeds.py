"""Over few training seeds intervals cover and tests keep their level; one seed has its questions' interval alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from steering.analyse.over_seeds import (
    curve_over_seeds,
    difference_over_seeds,
    mean_over_seeds,
    paired_difference_over_seeds,
)
from steering.analyse.statistics import interval, mean_of, paired_difference
from steering.errors import DataError

TRIALS, GROUPS, RESAMPLES = 400, 60, 200


def outcomes(values):
    ids = [str(i) for i in range(len(values))]
    return {"id": ids, "group": ids, "correct": list(values)}


def crossed(random, seeds, *, between, questions, single):
    """Values (seeds, GROUPS) about 0: a part of each seed's, one of each question's, and noise of single answers."""
    parts = between * random.standard_normal((seeds, 1)) + questions * random.standard_normal((1, GROUPS))
    return parts + single * random.standard_normal((seeds, GROUPS))


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize(
    ("between", "questions", "single", "most"),
    [(1, 1, 1, 0.98), (0.3, 1, 1, 0.98), (0.1, 1, 0, 0.98), (0, 1, 1, 0.99), (0.1, 0, 1, 1), (0, 0, 1, 1)],
)
def test_intervals_cover_the_truth_whichever_part_is_the_largest(seeds, between, questions, single, most):
    random, inside, rejected = np.random.default_rng(seeds), 0, 0
    for trial in range(TRIALS):
        values = crossed(random, seeds, between=between, questions=questions, single=single)
        found = difference_over_seeds([mean_of(own) for own in values], range(GROUPS), resamples=RESAMPLES, seed=trial)
        inside += found.low <= 0 <= found.high
        rejected += found.p < 0.05
    # The standard error is .011; two seeds are the worst case of Satterthwaite's approximation.
    assert (0.86 if seeds == 2 else 0.92) < inside / TRIALS <= most
    assert abs(inside + rejected - TRIALS) <= 2  # a p below .05 and an interval without 0 are one thing


def test_resampling_seeds_like_questions_would_not_cover():
    random, inside = np.random.default_rng(1), 0
    for _ in range(TRIALS):
        values = crossed(random, 3, between=1, questions=1, single=1)
        means = values @ random.multinomial(GROUPS, np.full(GROUPS, 1 / GROUPS), size=RESAMPLES).T / GROUPS
        drawn = (random.multinomial(3, np.full(3, 1 / 3), size=RESAMPLES).T / 3 * means).sum(axis=0)
        low, high = np.quantile(drawn, [0.025, 0.975])
        inside += low <= 0 <= high
    assert inside / TRIALS < 0.85


def test_seeds_alone_give_students_t():
    values = np.array([0.03, 0.07, 0.11])
    found = mean_over_seeds([mean_of(np.full(20, value)) for value in values], range(20))
    expected = stats.t.interval(0.95, 2, loc=values.mean(), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected)
    tested = difference_over_seeds([mean_of(np.full(20, value)) for value in values], range(20))
    assert tested.p == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    assert "t of 2.0 degrees of freedom, 3 seeds and 20 groups" in tested.test


def test_seeds_that_contradict_each_other_question_by_question_have_no_wider_interval_than_their_means() -> None:
    random = np.random.default_rng(3)
    first, third = random.standard_normal(60), 0.1 * random.standard_normal(60)
    seeds = np.stack([first, -first, third])
    found = mean_over_seeds([mean_of(own) for own in seeds], range(60))
    low, high = stats.t.interval(0.95, 2, loc=seeds.mean(), scale=stats.sem(seeds.mean(1)))
    assert found.high - found.low < 1.1 * (high - low)


def test_equal_answers_of_all_seeds_differ_by_nothing_with_p_one():
    found = difference_over_seeds([mean_of(np.zeros(9))] * 3, range(9))
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_no_seeds_are_an_error():
    with pytest.raises(DataError, match="no training seeds"):
        mean_over_seeds([], range(3))


def test_one_seed_is_the_plain_interval():
    values = np.random.default_rng(9).random(40)
    plain, over_seeds = interval(mean_of(values), range(40)), mean_over_seeds([mean_of(values)], range(40))
    assert over_seeds == plain


def test_identical_seeds_do_not_narrow_the_interval():
    values = np.random.default_rng(10).random(60)
    one, four = mean_over_seeds([mean_of(values)], range(60)), mean_over_seeds([mean_of(values)] * 4, range(60))
    assert (four.low, four.high) == pytest.approx((one.low, one.high), abs=0.1 * (one.high - one.low))


def test_seeds_that_differ_widen_the_interval():
    values = np.random.default_rng(11).random(60)
    same = mean_over_seeds([mean_of(values)] * 4, range(60))
    apart = mean_over_seeds([mean_of(values + shift) for shift in (-0.3, -0.1, 0.1, 0.3)], range(60))
    assert apart.value == pytest.approx(same.value)
    assert apart.high - apart.low > 2 * (same.high - same.low)


def test_an_undefined_seed_leaves_the_mean_undefined():
    def undefined(weights):
        return np.full(weights.shape[:-1], np.nan)

    found = mean_over_seeds([mean_of([0.0, 1.0]), undefined], range(2))
    assert np.isnan([found.value, found.low, found.high]).all()


def test_each_point_of_a_curve_has_the_interval_it_would_have_alone():
    random, groups = np.random.default_rng(14), np.repeat(np.arange(20), 2)
    seeds = [random.random((3, 40)) for _ in range(3)]  # (points, n)
    curve = curve_over_seeds([lambda w, own=own: w @ own.T / w.sum(-1, keepdims=True) for own in seeds], groups)
    alone = [mean_over_seeds([mean_of(own[point]) for own in seeds], groups) for point in range(3)]
    for found, expected in zip(curve, alone, strict=True):
        assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))


def test_seeds_difference_of_one_seed_is_the_paired_difference():
    random = np.random.default_rng(12)
    one, two = outcomes(random.random(30)), outcomes(random.random(30))
    assert paired_difference_over_seeds([one], [two]) == paired_difference(one, two)


def test_seeds_that_disagree_are_no_difference():
    better, worse = outcomes([1.0] * 30 + [0.0] * 30), outcomes([0.0] * 60)
    clear = paired_difference_over_seeds([better] * 3, [worse] * 3)
    unclear = paired_difference_over_seeds([better, worse], [worse, better])
    assert clear.p < 0.01
    assert unclear.p > 0.3
    assert unclear.low < 0 < unclear.high
    assert "2 seeds and 60 groups" in unclear.test


def test_unequal_numbers_of_seeds_are_an_error():
    with pytest.raises(DataError, match="2 and 1 training seeds"):
        paired_difference_over_seeds([outcomes([1])] * 2, [outcomes([1])])
