"""Token selectors: which visual tokens are edited, for any pictures and any padding."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import DynamicCache

from steering.errors import DataError
from steering.methods.selectors import Sight, VisualSelector, marks_from_ids
from steering.model.marks import MarkBoard, Marks


def pictures(*rows: list[int]) -> Tensor:
    return torch.tensor(rows)


def marks(picture: Tensor) -> Marks:
    nobody = torch.zeros_like(picture, dtype=torch.bool)
    return Marks(picture, nobody, nobody, torch.zeros_like(picture))


def test_one_percent_is_the_first_four_and_last_five_of_each_picture() -> None:
    picture = pictures([0, 0, *[1] * 20, 0, *[2] * 12, 0])
    first = [2, 3, 4, 5, 17, 18, 19, 20, 21]
    second = [23, 24, 25, 26, 30, 31, 32, 33, 34]
    assert VisualSelector()(picture).tolist() == first + second


def test_a_picture_shorter_than_first_and_last_is_taken_whole() -> None:
    assert VisualSelector()(pictures([1] * 7 + [0])).tolist() == list(range(7))
    assert VisualSelector()(pictures([1] * 3 + [0, 2])).tolist() == [0, 1, 2, 4]


def test_other_ratios_are_evenly_spaced() -> None:
    assert VisualSelector(0.25)(pictures([0] + [1] * 16)).tolist() == [1, 5, 9, 13]
    assert VisualSelector(0.5)(pictures([1] * 5)).tolist() == [0, 1, 3]
    assert VisualSelector(1.0)(pictures([0, 1, 1, 1, 0])).tolist() == [1, 2, 3]


def test_a_ratio_takes_at_least_one_token() -> None:
    assert VisualSelector(0.001)(pictures([0, 1, 1, 0, 2, 0])).tolist() == [1, 4]


def test_no_picture_selects_nothing() -> None:
    for ratio in (0.01, 0.5, 1.0):
        assert VisualSelector(ratio)(torch.zeros(2, 5, dtype=torch.long)).tolist() == []


def test_ratios_are_not_rounded_up_by_floating_point() -> None:
    assert len(VisualSelector(0.1)(pictures([1] * 30))) == 3


def test_first_and_last_are_settings() -> None:
    assert VisualSelector(0.01, first=1, last=0)(pictures([0, 1, 1, 1, 2, 2])).tolist() == [1, 4]


runs = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 30)), max_size=4)


@settings(deadline=None, max_examples=60)
@given(st.lists(runs, min_size=1, max_size=4), st.sampled_from([0.01, 0.03, 0.1, 0.25, 0.5, 0.77, 1.0]))
def test_each_picture_gets_its_own_share(batch: list[list[tuple[int, int]]], ratio: float) -> None:
    rows = [sum(([0] * gap + [k] * size for k, (gap, size) in enumerate(row, 1)), []) for row in batch]
    width = max(map(len, rows)) + 1
    right = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    left = torch.tensor([[0] * (width - len(row)) + row for row in rows])
    selector = VisualSelector(ratio)
    chosen = torch.zeros_like(right, dtype=torch.bool).flatten()
    chosen[selector(right)] = True
    chosen = chosen.view_as(right)
    for place, row in enumerate(batch):
        for number, (_, size) in enumerate(row, 1):
            wanted = min(size, 9) if ratio == 0.01 else max(1, math.ceil(ratio * size - 1e-9))
            assert chosen[place][right[place] == number].sum() == wanted
    assert not chosen[right == 0].any()
    shifts = [width - len(row) for row in rows]
    moved = [index // width * width + index % width + shifts[index // width] for index in selector(right).tolist()]
    assert selector(left).tolist() == moved


@given(st.integers(1, 300), st.floats(0.02, 1.0))
@settings(deadline=None, max_examples=60)
def test_spacing_is_even(size: int, ratio: float) -> None:
    chosen = VisualSelector(ratio)(torch.ones(1, size, dtype=torch.long))
    steps = [*chosen.tolist(), size]
    gaps = {after - before for before, after in zip(steps, steps[1:], strict=False)}
    assert chosen[0] == 0 and max(gaps) - min(gaps) <= 1


def test_an_empty_board_sees_nothing() -> None:
    assert Sight(MarkBoard(), VisualSelector()).positions(torch.zeros(1, 5, 2)) is None


def test_text_sees_nothing() -> None:
    board = MarkBoard()
    with board.show(marks(torch.zeros(1, 5, dtype=torch.long))):
        assert Sight(board, VisualSelector()).positions(torch.zeros(1, 5, 2)) is None


def test_positions_are_worked_out_once_per_pass() -> None:
    calls = []

    def selector(picture: Tensor) -> Tensor:
        calls.append(picture)
        return VisualSelector()(picture)

    board = MarkBoard()
    sight, states = Sight(board, selector), torch.zeros(1, 6, 2)
    for _ in range(2):
        with board.show(marks(pictures([0, 1, 1, 1, 0, 0]))):
            assert [sight.positions(states).tolist() for _ in range(3)] == [[1, 2, 3]] * 3  # type: ignore[union-attr]
    assert len(calls) == 2


def cache_of(length: int) -> DynamicCache:
    cache = DynamicCache()
    cache.update(torch.zeros(1, 1, length, 2), torch.zeros(1, 1, length, 2), 0)
    return cache


def test_a_part_of_the_prompt_sees_its_part_of_the_marks() -> None:
    board = MarkBoard()
    sight = Sight(board, VisualSelector())
    with board.show(marks(pictures([0, 1, 1, 1, 0, 2]))):
        assert sight.positions(torch.zeros(1, 2, 2), cache=cache_of(2)).tolist() == [0, 1]  # type: ignore[union-attr]
        assert sight.positions(torch.zeros(1, 1, 2), cache=cache_of(4)) is None
        assert sight.positions(torch.zeros(1, 1, 2), cache=cache_of(6)) is None  # a generated token
        assert sight.positions(torch.zeros(1, 9, 2)).tolist() == [1, 2, 3, 5]  # type: ignore[union-attr]


def test_marks_of_another_batch_are_refused() -> None:
    board = MarkBoard()
    with board.show(marks(torch.ones(2, 5, dtype=torch.long))), pytest.raises(DataError, match="2 samples shown"):
        Sight(board, VisualSelector()).positions(torch.zeros(3, 5, 2))


def test_pictures_are_the_runs_of_the_image_token() -> None:
    found = marks_from_ids(torch.tensor([[9, 9, 1, 9, 2, 3], [1, 2, 3, 4, 9, 9]]), 9)
    assert found.picture.tolist() == [[1, 1, 0, 2, 0, 0], [0, 0, 0, 0, 1, 1]]
    assert torch.equal(found.prompt, ~found.visual)
