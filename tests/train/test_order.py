"""Which samples a step sees hangs on seed and step alone."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from steering.train.order import Order


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
