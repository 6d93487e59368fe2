"""However a step is cut over processes and passes, every conversation is seen once, and every pass has a picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
import torch

from steering.data.collate import Batch
from steering.data.templates import Turn
from steering.train.feed import Feed
from steering.train.order import Order
from steering.train.processes import Processes
from tests.train.toy import conversations

CUTS = pytest.mark.parametrize(("count", "micro_batch"), [(1, 5), (1, 2), (2, 5), (2, 1), (3, 1), (4, 3), (7, 1)])
LENGTHS = [7, 3, 9, 1, 5, 12, 2, 8, 4, 10, 6, 11]


def feed(*, size: int = 5, **options: Any) -> Feed:
    samples = conversations()
    blank = replace(samples[0], turns=(Turn((10, 11)),))
    return Feed(Order(12, size, seed=0), samples.__getitem__, blank=blank, **options)


def cut(count: int, micro_batch: int, step: int, **options: Any) -> list[list[list[int]]]:
    return [feed(processes=Processes(rank, count), **options).passes(step, micro_batch) for rank in range(count)]


@CUTS
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["as drawn", "by length"])
def test_every_conversation_of_a_step_is_seen_once(count: int, micro_batch: int, lengths: Any) -> None:
    for step in range(4):
        seen = list(chain.from_iterable(chain.from_iterable(cut(count, micro_batch, step, lengths=lengths))))
        assert sorted(seen) == sorted(feed().order.batch(step))


@CUTS
def test_every_process_has_as_many_passes_and_none_is_too_large(count: int, micro_batch: int) -> None:
    passes = cut(count, micro_batch, 0)
    assert len({len(own) for own in passes}) == 1
    assert max(len(chosen) for own in passes for chosen in own) <= micro_batch


def test_one_process_in_one_pass_keeps_the_order_drawn() -> None:
    assert feed().passes(3, 5) == [feed().order.batch(3)]


def test_passes_hold_conversations_of_like_length_and_each_process_gets_all_lengths() -> None:
    passes = cut(2, 2, 0, size=8, lengths=LENGTHS)
    drawn = sorted((LENGTHS[index] for index in feed(size=8).order.batch(0)), reverse=True)
    found = [[LENGTHS[index] for chosen in own for index in chosen] for own in passes]
    assert found == [drawn[0::2], drawn[1::2]]


def test_a_pass_without_a_picture_gets_a_blank_one_that_teaches_nothing() -> None:
    (batch,) = feed(size=4).prepare(0, 4)
    own = feed(size=1)
    texts = [step for step in range(12) if own.sample(own.order.batch(step)[0]).features is None]
    (alone,) = own.prepare(texts[0], 1)
    assert len(batch.input_ids) == 4
    assert len(alone.input_ids) == 2
    assert alone.features is not None
    assert not alone.marks.answer[1].any()
    assert alone.marks.visual[1].any()


def test_a_process_without_a_conversation_still_has_its_pass() -> None:
    rank6 = feed(processes=Processes(6, 7))
    (batch,) = rank6.prepare(0, 1)
    assert rank6.passes(0, 1) == [[]]
    assert not batch.marks.answer.any()


def same(one: Batch, other: Batch) -> bool:
    return torch.equal(one.input_ids, other.input_ids) and torch.equal(one.visible, other.visible)


def test_workers_prepare_what_would_be_prepared_without(make_model: Callable) -> None:
    ahead, plain = feed(workers=2), feed()
    for step, size in [(3, 2), (4, 2), (5, 2), (5, 1), (6, 1), (0, 5)]:  # on, again with half as many, back
        found, expected = ahead.at(step, size), plain.at(step, size)
        assert len(found) == len(expected)
        assert all(same(one, other) for one, other in zip(found, expected, strict=True))
