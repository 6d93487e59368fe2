"""Which samples a step sees hangs on seed and step alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from random import Random
from statistics import fmean, stdev

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from steering.train.order import Order, by_length


def flat(order: Order, steps: int) -> list[int]:
    return [index for step in range(steps) for index in order.batch(step)]


@given(count=st.integers(1, 30), size=st.integers(1, 12), seed=st.integers(0, 5))
def test_an_epoch_has_every_index_once_whatever_the_batch_size(count: int, size: int, seed: int) -> None:
    indices = flat(Order(count, size, seed=seed), steps=-(-3 * count // size))
    for epoch in range(3):
        assert sorted(indices[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_a_step_is_the_same_whenever_it_is_asked_for() -> None:
    forwards, backwards = Order(10, 4, seed=1), Order(10, 4, seed=1)
    assert [forwards.batch(step) for step in range(12)] == [backwards.batch(step) for step in range(11, -1, -1)][::-1]


def test_epochs_are_shuffled_differently() -> None:
    order = Order(50, 50, seed=0)
    assert order.batch(0) != order.batch(1)
    assert order.batch(0) != list(range(50))


def test_seeds_give_other_orders() -> None:
    assert Order(50, 10, seed=0).batch(0) != Order(50, 10, seed=1).batch(0)


def test_an_epoch_of_one_seed_is_no_epoch_of_the_next() -> None:
    assert Order(50, 50, seed=0).batch(1) != Order(50, 50, seed=1).batch(0)


def test_batches_larger_than_the_set_go_round() -> None:
    assert set(Counter(Order(3, 6, seed=0).batch(0)).values()) == {2}


def mixed_lengths(count: int, *, seed: int = 0) -> list[int]:
    """Positions as an instruction mixture has them: many short answers, a long tail."""
    random = Random(seed)
    return [600 + round(random.lognormvariate(5, 1)) for _ in range(count)]


def padding(batches: Iterable[Sequence[int]], lengths: Sequence[int]) -> float:
    """Share of all positions that is padding, each batch padded to its longest."""
    cells = real = 0
    for batch in batches:
        cells += len(batch) * max(lengths[index] for index in batch)
        real += sum(lengths[index] for index in batch)
    return 1 - real / cells


def steps(order: Order, count: int) -> list[list[int]]:
    return [order.batch(step) for step in range(count)]


def test_an_order_without_lengths_is_what_it_has_always_been() -> None:
    def as_ever(count: int, size: int, seed: int, step: int) -> list[int]:
        def epoch(number: int) -> list[int]:
            generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
            return torch.randperm(count, generator=generator).tolist()

        return [epoch(place // count)[place % count] for place in range(step * size, (step + 1) * size)]

    assert Order(10, 4, seed=3).batch(0) == as_ever(10, 4, 3, 0)
    for count, size in ((10, 4), (7, 7), (3, 8)):
        order = Order(count, size, seed=5)
        assert steps(order, 9) == [as_ever(count, size, 5, step) for step in range(9)]


@given(count=st.integers(1, 60), size=st.integers(1, 12), seed=st.integers(0, 5), data=st.data())
def test_a_grouped_epoch_has_every_index_once(count: int, size: int, seed: int, data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(1, 9), min_size=count, max_size=count))
    indices = flat(Order(count, size, seed=seed, lengths=lengths), steps=-(-4 * count // size))
    for epoch in range(4):
        assert sorted(indices[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_a_grouped_step_is_the_same_for_whoever_asks_and_whenever() -> None:
    lengths = mixed_lengths(100)
    through = steps(Order(100, 8, seed=1, lengths=lengths), 40)
    assert [Order(100, 8, seed=1, lengths=lengths).batch(step) for step in range(40)] == through


def test_grouped_epochs_and_seeds_hold_other_batches() -> None:
    lengths = mixed_lengths(640)
    order, other = Order(640, 8, seed=0, lengths=lengths), Order(640, 8, seed=1, lengths=lengths)
    first, second, strange = (
        {frozenset(found.batch(step)) for step in range(start, start + 80)}
        for found, start in ((order, 0), (order, 80), (other, 0))
    )
    assert not first & second
    assert not first & strange


@pytest.mark.parametrize("size", [4, 16])
@pytest.mark.parametrize("count", [4096, 4101])
def test_grouping_by_length_saves_most_of_the_padding_in_every_epoch(count: int, size: int) -> None:
    lengths = mixed_lengths(count)
    loose, grouped = Order(count, size, seed=0), Order(count, size, seed=0, lengths=lengths)
    assert padding(steps(grouped, 3 * count // size), lengths) < 0.25 * padding(
        steps(loose, 3 * count // size), lengths
    )


@pytest.mark.parametrize("count", [4096, 4101])
def test_a_grouped_epoch_is_not_sorted_over_time(count: int) -> None:
    """Over 20 epochs the halves differ by less than three standard errors of the halves of a shuffle."""
    lengths = mixed_lengths(count)
    order = Order(count, 16, seed=0, lengths=lengths)
    indices, half, differences = flat(order, steps=20 * count // 16 + 20), count // 2, []
    for epoch in range(20):
        told = [lengths[index] for index in indices[epoch * count : (epoch + 1) * count]]
        differences.append(fmean(told[half:]) - fmean(told[:half]))
    assert abs(fmean(differences)) < 3 * stdev(differences) / 20**0.5


def test_how_far_an_epoch_is_says_nothing_of_a_steps_lengths() -> None:
    """Step for step the mean over epochs is that of all, in the steps over the ends of epochs too."""
    count, size, epochs = 67, 8, 1500
    lengths = [index % 13 for index in range(count)]
    order, means = Order(count, size, seed=0, lengths=lengths), defaultdict(list)
    for step in range(epochs * count // size):
        means[step * size % count // size].append(fmean(lengths[index] for index in order.batch(step)))
    assert len(means) == 9
    for found in means.values():
        assert abs(fmean(found) - fmean(lengths)) < 4 * stdev(found) / len(found) ** 0.5


def test_a_small_set_mixes_its_batches_anew_each_epoch() -> None:
    lengths = mixed_lengths(64)
    order = Order(64, 4, seed=0, lengths=lengths)
    first, second = ({frozenset(order.batch(step)) for step in range(start, start + 16)} for start in (0, 16))
    assert len(first & second) < 4


def test_lengths_are_one_for_each_index() -> None:
    with pytest.raises(ValueError, match="3 lengths for 4 indices"):
        Order(4, 2, seed=0, lengths=[1, 2, 3])


def test_the_longest_come_first_and_equal_lengths_as_they_came() -> None:
    assert by_length([4, 2, 0, 3], [5, 9, 7, 5, 5]) == [2, 4, 0, 3]


def test_micro_batches_cut_by_length_pad_less_of_the_same_step() -> None:
    lengths = mixed_lengths(1024)
    batches = steps(Order(1024, 128, seed=0), 8)
    cut = [batch[at : at + 8] for batch in batches for at in range(0, 128, 8)]
    ordered = [by_length(batch, lengths)[at : at + 8] for batch in batches for at in range(0, 128, 8)]
    assert padding(ordered, lengths) < 0.25 * padding(cut, lengths)
    assert [sorted(by_length(batch, lengths)) for batch in batches] == [sorted(batch) for batch in batches]
