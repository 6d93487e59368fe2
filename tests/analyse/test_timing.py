"""How times are compared: interleaved rounds in turning orders, paired ratios and differences, the circumstances."""

from __future__ import annotations

import json
from itertools import islice

import pytest
import torch

from steering.analyse.timing import circumstances, difference, interleaved, orders, ratio, seconds
from steering.errors import SteeringError

CPU = torch.device("cpu")


def called(names: str, *, rounds: int, warmup: int, seed: int) -> tuple[list[str], dict[str, list[float]]]:
    """The order of the calls, and what was kept; call number k returns k."""
    calls: list[str] = []

    def contender(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    works = {name: (lambda name=name: contender(name)) for name in names}
    return calls, interleaved(works, rounds=rounds, warmup=warmup, seed=seed)


def test_each_round_calls_every_contender_once():
    calls, _ = called("abcd", rounds=5, warmup=2, seed=0)
    assert [sorted(calls[start : start + 4]) for start in range(0, 28, 4)] == [list("abcd")] * 7


def test_within_a_cycle_each_name_stands_at_every_place_once():
    rounds = list(islice(orders("abcd", seed=1), 12))
    for cycle in (rounds[start : start + 4] for start in range(0, 12, 4)):
        assert all(sorted(places) == list("abcd") for places in zip(*cycle, strict=True))
    assert len({tuple(rounds[start]) for start in range(0, 12, 4)}) > 1  # drawn anew


def test_rounds_differ_in_order_and_the_seed_alone_decides_it():
    first, _ = called("abcd", rounds=6, warmup=0, seed=3)
    assert first == called("abcd", rounds=6, warmup=0, seed=3)[0]
    assert first != called("abcd", rounds=6, warmup=0, seed=4)[0]
    assert len({tuple(first[start : start + 4]) for start in range(0, 24, 4)}) > 1


def test_warm_up_rounds_are_run_and_dropped():
    calls, kept = called("ab", rounds=3, warmup=2, seed=0)
    assert len(calls) == 10
    assert sorted(kept["a"] + kept["b"]) == [5, 6, 7, 8, 9, 10]


def test_values_of_one_round_stand_at_one_place():
    _, kept = called("ab", rounds=4, warmup=1, seed=0)
    assert all(abs(a - b) == 1 for a, b in zip(kept["a"], kept["b"], strict=True))


def test_a_ratio_is_the_median_of_the_paired_ratios():
    # Paired, the slow third round cancels; the ratio of the medians would be 4 / 2.
    found = ratio([1.5, 4.0, 30.0], [1.0, 2.0, 20.0])
    assert found.value == 1.5


def test_a_slow_machine_leaves_a_ratio_as_it_is():
    found = ratio([1.1, 11.0, 2.2, 55.0], [1.0, 10.0, 2.0, 50.0])
    assert (found.low, found.value, found.high) == pytest.approx((1.1, 1.1, 1.1))


def test_the_interval_holds_the_median_and_stays_within_the_rounds():
    values = [1.3, 0.9, 1.0, 1.2, 1.1, 0.8, 1.05]
    found = ratio(values, [1.0] * len(values))
    assert min(values) <= found.low < found.value == 1.05 < found.high <= max(values)


def test_an_interval_narrows_with_rounds():
    generator = torch.Generator().manual_seed(0)
    values = (1 + 0.1 * torch.randn(400, generator=generator)).tolist()
    few, many = (ratio(values[:n], [1.0] * n) for n in (10, 400))
    assert many.high - many.low < (few.high - few.low) / 2


def test_one_round_gives_an_interval_of_no_width():
    assert ratio([3.0], [2.0]).as_dict() == {"value": 1.5, "low": 1.5, "high": 1.5}


@pytest.mark.parametrize(("values", "base"), [([], []), ([1.0], [1.0, 2.0])])
def test_a_ratio_of_other_rounds_is_refused(values, base):
    with pytest.raises(SteeringError, match="allowed the same rounds, at least one"):
        ratio(values, base)


def test_a_difference_is_the_median_of_the_paired_differences():
    found = difference([1.5, 4.0, 30.0], [1.0, 2.0, 29.0])
    assert found.value == 1.0


def test_what_slows_whole_rounds_leaves_a_difference_as_it_is():
    found = difference([1.5, 10.5, 2.5], [1.0, 10.0, 2.0])
    assert (found.low, found.value, found.high) == pytest.approx((0.5, 0.5, 0.5))


@pytest.mark.parametrize(("values", "base"), [([], []), ([1.0], [1.0, 2.0])])
def test_a_difference_of_other_rounds_is_refused(values, base):
    with pytest.raises(SteeringError, match="difference: .* allowed the same rounds, at least one"):
        difference(values, base)


def test_seconds_are_those_of_the_work():
    done: list[int] = []
    assert seconds(lambda: done.append(1), CPU) >= 0
    assert done == [1]


def test_circumstances_are_plain_and_tell_machine_and_versions():
    found = circumstances(CPU, size="tiny", seed=3)
    assert json.loads(json.dumps(found)) == found
    assert found["settings"] == {"size": "tiny", "seed": 3}
    assert found["versions"].keys() == {"python", "torch", "transformers", "peft"}
    assert found["machine"]["cpu"] and found["machine"]["threads"] == torch.get_num_threads()
    assert found["machine"]["device"] == "cpu"
