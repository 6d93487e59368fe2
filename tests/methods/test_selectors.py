"""Token selectors: which tokens are edited, for any pictures, any questions and any padding."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import DynamicCache

from steering.arms import TokenChoice
from steering.errors import DataError
from steering.methods.selectors import (
    AllVisual,
    AttendedSelector,
    BoxSelector,
    PatchSelector,
    VisualSelector,
    visual_selector,
)
from steering.methods.sight import Sight, marks_from_ids
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
    assert VisualSelector()(marks(picture)).tolist() == first + second


def test_a_picture_shorter_than_first_and_last_is_taken_whole() -> None:
    assert VisualSelector()(marks(pictures([1] * 7 + [0]))).tolist() == list(range(7))
    assert VisualSelector()(marks(pictures([1] * 3 + [0, 2]))).tolist() == [0, 1, 2, 4]


def test_other_ratios_are_evenly_spaced() -> None:
    assert VisualSelector(0.25)(marks(pictures([0] + [1] * 16))).tolist() == [1, 5, 9, 13]
    assert VisualSelector(0.5)(marks(pictures([1] * 5))).tolist() == [0, 1, 3]
    assert VisualSelector(1.0)(marks(pictures([0, 1, 1, 1, 0]))).tolist() == [1, 2, 3]


def test_a_ratio_takes_at_least_one_token() -> None:
    assert VisualSelector(0.001)(marks(pictures([0, 1, 1, 0, 2, 0]))).tolist() == [1, 4]


def test_no_picture_selects_nothing() -> None:
    for ratio in (0.01, 0.5, 1.0):
        assert VisualSelector(ratio)(marks(torch.zeros(2, 5, dtype=torch.long))).tolist() == []


def test_ratios_are_not_rounded_up_by_floating_point() -> None:
    assert len(VisualSelector(0.1)(marks(pictures([1] * 30)))) == 3


def test_first_and_last_are_settings() -> None:
    assert VisualSelector(0.01, first=1, last=0)(marks(pictures([0, 1, 1, 1, 2, 2]))).tolist() == [1, 4]


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
    chosen[selector(marks(right))] = True
    chosen = chosen.view_as(right)
    for place, row in enumerate(batch):
        for number, (_, size) in enumerate(row, 1):
            wanted = min(size, 9) if ratio == 0.01 else max(1, math.ceil(ratio * size - 1e-9))
            assert chosen[place][right[place] == number].sum() == wanted
    assert not chosen[right == 0].any()
    shifts = [width - len(row) for row in rows]
    moved = [
        index // width * width + index % width + shifts[index // width] for index in selector(marks(right)).tolist()
    ]
    assert selector(marks(left)).tolist() == moved


@given(st.integers(1, 300), st.floats(0.02, 1.0))
@settings(deadline=None, max_examples=60)
def test_spacing_is_even(size: int, ratio: float) -> None:
    chosen = VisualSelector(ratio)(marks(torch.ones(1, size, dtype=torch.long)))
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

    def selector(shown: Marks) -> Tensor:
        calls.append(shown)
        return VisualSelector()(shown)

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


def test_a_mask_and_labels_tell_padding_and_answers() -> None:
    ids = torch.tensor([[0, 9, 9, 1, 2, 3]])
    labels = torch.tensor([[-100, -100, -100, -100, 2, 3]])
    found = marks_from_ids(ids, 9, attention_mask=(ids != 0).long(), labels=labels)
    assert found.prompt.tolist() == [[False, False, False, True, False, False]]
    assert found.answer.tolist() == [[False, False, False, False, True, True]]


GRID = pictures([0, *[1] * 16, 0, *[2] * 16])


def test_all_visual_tokens_are_those_of_every_picture() -> None:
    assert AllVisual()(marks(GRID)).tolist() == [*range(1, 17), *range(18, 34)]


@pytest.mark.parametrize(
    ("box", "patches"),
    [
        ((0, 0, 1, 1), list(range(16))),
        ((0, 0, 0.5, 0.5), [0, 1, 4, 5]),
        ((0.5, 0, 1, 0.5), [2, 3, 6, 7]),
        ((0.3, 0.3, 0.4, 1), [5, 9, 13]),  # the centres of column 1 lie at 0.375
        ((0.125, 0, 0.375, 0.2), [0]),  # the left edge belongs to the box, the right one does not
    ],
)
def test_a_box_takes_the_patches_whose_centres_it_covers(box: tuple, patches: list[int]) -> None:
    expected = [1 + patch for patch in patches] + [18 + patch for patch in patches]
    assert BoxSelector(box)(marks(GRID)).tolist() == expected


def test_a_box_over_no_patch_and_a_picture_without_a_grid_are_refused() -> None:
    with pytest.raises(DataError, match="covers the centre of no patch"):
        BoxSelector((0.0, 0.0, 0.1, 0.1))(marks(GRID))
    with pytest.raises(DataError, match="12 visual tokens is no square grid"):
        BoxSelector((0, 0, 1, 1))(marks(pictures([1] * 12)))
    assert BoxSelector((0.0, 0.0, 0.1, 0.1))(marks(pictures([0, 0]))).tolist() == []


def test_patches_are_numbered_within_each_picture() -> None:
    assert PatchSelector((0, 3))(marks(GRID)).tolist() == [1, 4, 18, 21]
    with pytest.raises(DataError, match=r"patches: 16 outside the picture; allowed 0\.\.15"):
        PatchSelector((16,))(marks(GRID))


def test_the_most_attended_tokens_are_taken_from_each_picture() -> None:
    shown = marks(pictures([0, 1, 1, 1, 0, 2, 2], [0, 0, 0, 0, 1, 1, 1]))
    attended = torch.tensor([[0.9, 0.1, 0.3, 0.2, 0.9, 0.5, 0.5], [0.9, 0.9, 0.9, 0.9, 0.0, 0.2, 0.1]])
    assert AttendedSelector(2)(replace(shown, attended=attended)).tolist() == [2, 3, 5, 6, 12, 13]
    assert AttendedSelector(1)(replace(shown, attended=attended)).tolist() == [2, 5, 12]
    with pytest.raises(DataError, match="attended: the marks do not tell"):
        AttendedSelector(2)(shown)


def test_a_choice_of_tokens_has_its_selector() -> None:
    assert visual_selector(None, 0.5, first=1) == VisualSelector(0.5, 1)
    assert visual_selector(TokenChoice(box=(0, 0, 1, 0.5))) == BoxSelector((0, 0, 1, 0.5))
    assert visual_selector(TokenChoice(patches=[3, 1])) == PatchSelector((3, 1))
    assert visual_selector(TokenChoice(attended=3)) == AttendedSelector(3)
