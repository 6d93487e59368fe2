"""Marks are on show for the length of a pass, and for that alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from steering.model.marks import MarkBoard, Marks, board_of


def marks(picture: list[list[int]]) -> Marks:
    places = torch.tensor(picture)
    return Marks(places, prompt=places == 0, answer=torch.zeros_like(places).bool(), block=torch.zeros_like(places))


def test_visual_positions_are_those_of_any_picture() -> None:
    assert marks([[0, 1, 1, 2, 0]]).visual.tolist() == [[False, True, True, True, False]]


def test_moved_marks_keep_every_role() -> None:
    here = marks([[0, 1, 0]])
    there = here.to("cpu")
    for role in ("picture", "prompt", "answer", "block"):
        assert torch.equal(getattr(there, role), getattr(here, role))


def test_moved_marks_keep_what_the_prompt_attends_to_where_it_is_told() -> None:
    here = marks([[0, 1, 0]])
    assert here.to("cpu").attended is None
    told = replace(here, attended=torch.tensor([[0.0, 0.7, 0.3]]))
    assert torch.equal(told.to("cpu").attended, told.attended)  # type: ignore[arg-type]
    assert told.to("meta").attended.is_meta  # type: ignore[union-attr]


def test_the_board_is_empty_before_and_after() -> None:
    board = MarkBoard()
    with board.show(marks([[0, 1]])) as shown:
        assert shown is None
        assert board.current is not None
    assert board.current is None


def test_marks_shown_within_marks_give_way_to_the_outer_ones() -> None:
    board, outer, inner = MarkBoard(), marks([[1]]), marks([[2]])
    with board.show(outer):
        with board.show(inner):
            assert board.current is inner
        assert board.current is outer
        with board.show(None):
            assert board.current is None
        assert board.current is outer


def test_a_failing_pass_leaves_an_empty_board() -> None:
    board = MarkBoard()
    with pytest.raises(RuntimeError), board.show(marks([[1]])):
        raise RuntimeError
    assert board.current is None


def test_a_model_has_one_board() -> None:
    model, other = nn.Linear(1, 1), nn.Linear(1, 1)
    assert board_of(model) is board_of(model)
    assert board_of(model) is not board_of(other)


def test_a_board_adds_nothing_to_the_weights() -> None:
    model = nn.Linear(1, 1)
    before = set(model.state_dict())
    board_of(model)
    assert set(model.state_dict()) == before
