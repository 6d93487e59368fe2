"""Sharpness is a mean over directions whose interval knows directions, conversations and seeds."""

from __future__ import annotations

from typing import Any

import pytest

from steering.analyse.sharpness import difference, finite, sharpness, trained_loss, worst
from steering.errors import DataError


def record(rises: list[float], *, seed: int = 0, **changes: Any) -> dict[str, Any]:
    """Four conversations that all rise alike, by *rises* along one direction each, once as much and once not."""
    trained = [2.0, 4.0, 6.0, 8.0]
    rays = [[[loss * (1 + 2 * rise) for loss in trained], trained] for rise in rises]
    names = ["a", "b", "c", "d"]
    return {
        "run": f"r{seed}",
        "seed": seed,
        "axis": [-1.0, 0.0, 1.0],
        "radius": 1.0,
        "loss": [[9.0, 3.0, 9.0], [2.5, 2.0, 4.0], [9.0, 2.2, 9.0]],
        "sums": {"trained": trained, "rays": rays},
        "conversations": {"ids": names, "groups": names, "tokens": [1, 2, 3, 4]},
        **changes,
    }


def test_it_is_the_mean_rise_both_ways() -> None:
    assert sharpness([record([0.1, 0.3])]).value == pytest.approx(0.2)
    assert trained_loss(record([0.1])) == 2.0


def test_directions_that_differ_widen_the_interval() -> None:
    alike, apart = sharpness([record([0.2] * 6)]), sharpness([record([0.0, 0.4] * 3)])
    assert (alike.low, alike.high) == pytest.approx((0.2, 0.2))
    assert apart.low < 0.15 < 0.25 < apart.high


def test_conversations_that_differ_widen_the_interval() -> None:
    one = record([0.2] * 6)
    one["sums"]["rays"] = [[[2.0, 4.0, 6.0, 12.0], [2.0, 4.0, 6.0, 8.0]]] * 6
    told = sharpness([one])
    assert told.value == pytest.approx(0.1)
    assert told.low < 0.05 and told.high > 0.15


def test_seeds_take_the_place_of_directions() -> None:
    told = sharpness([record([0.0, 0.4], seed=0), record([0.1, 0.3], seed=1)])
    assert (told.value, told.low, told.high) == pytest.approx((0.2, 0.2, 0.2))


def test_a_difference_is_paired_by_direction() -> None:
    ours, theirs = record([0.1, 0.5, 0.9]), record([0.0, 0.4, 0.8])
    told = difference([ours], [theirs])
    assert (told.value, told.low, told.high) == pytest.approx((0.1, 0.1, 0.1))
    assert told.p < 0.01


def test_other_conversations_are_not_compared() -> None:
    names = ["a", "b", "c", "e"]
    other = record([0.1], seed=1, conversations={"ids": names, "groups": names, "tokens": [1, 2, 3, 4]})
    with pytest.raises(DataError, match="r1: other conversations than r0; measure again"):
        difference([record([0.1])], [other])


def test_the_worst_rise_is_looked_for_within_the_radius_alone() -> None:
    assert worst(record([0.1])) == pytest.approx(1.0)
    assert worst(record([0.1], radius=1.5)) == pytest.approx(3.5)


def test_what_is_no_number_is_null_in_json() -> None:
    assert finite({"a": [1.0, float("nan"), [float("inf")]]}) == {"a": [1.0, None, [None]]}
