"""Tests of steering.analyse.pairing."""

import numpy as np
import pytest

from steering.analyse.pairing import paired
from steering.errors import DataError


def outcomes(values, ids, groups=None):
    return {"id": list(ids), "group": list(groups or ids), "correct": list(values)}


def test_only_shared_questions_are_compared_in_the_firsts_order():
    first, second = outcomes([1, 0, 1], "abc", "xyy"), outcomes([0, 1, 0], "cdb", "yzy")
    groups, (differences,) = paired([first], [second], "correct")
    assert (groups, differences.tolist()) == (["y", "y"], [0, 1])


def test_the_order_of_a_scores_questions_does_not_matter():
    first, second = outcomes([1, 2, 3], "abc"), outcomes([10, 20, 30], "abc")
    turned = {name: column[::-1] for name, column in second.items()}
    for found, expected in zip(paired([first], [turned], "correct"), paired([first], [second], "correct"), strict=True):
        assert np.array_equal(found, expected)


def test_all_seeds_are_told_of_the_questions_that_all_have():
    firsts = [outcomes([1, 2], "ab"), outcomes([3, 4, 5], "bca")]
    seconds = [outcomes([0, 0, 0], "abc"), outcomes([1, 1], "cb")]
    groups, differences = paired(firsts, seconds, "correct")
    assert (groups, [own.tolist() for own in differences]) == (["b"], [[2], [2]])


@pytest.mark.parametrize(
    ("firsts", "seconds"),
    [
        ([outcomes([1], "a")], [outcomes([1], "b")]),
        ([outcomes([1], "a"), outcomes([1], "b")], [outcomes([1], "a"), outcomes([1], "b")]),
    ],
    ids=["a pair", "all pairs together"],
)
def test_without_shared_questions_it_is_an_error(firsts, seconds):
    with pytest.raises(DataError, match="share no question ids"):
        paired(firsts, seconds, "correct")


def test_a_question_in_two_groups_is_an_error():
    with pytest.raises(DataError, match="two groups"):
        paired([outcomes([1], "a", "x")], [outcomes([1], "a", "y")], "correct")


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match="lack f1; found id, group, correct"):
        paired([outcomes([1], "a")], [outcomes([1], "a")], "f1")
