"""Selectors of text: the ends of each prompt, for any questions, any padding, with and without the answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from steering.data.collate import Sample, collate
from steering.data.templates import Turn
from steering.methods.selectors import FirstAndLast, PrefixSelector, Selector, SuffixSelector
from steering.model.marks import Marks


def roles(*rows: str) -> Marks:
    """One letter a position: v visual, p prompt, a answer, . padding; a digit before letters is their block."""
    parsed = []
    for row in rows:
        block, cells = 0, []
        for letter in row:
            if letter.isdigit():
                block = int(letter)
            else:
                cells.append((letter, block))
        parsed.append(cells)
    letters = [[letter for letter, _ in row] for row in parsed]
    prompt, answer = (torch.tensor([[cell == role for cell in row] for row in letters]) for role in "pa")
    starts = [[cell == "v" and (not at or row[at - 1] != "v") for at, cell in enumerate(row)] for row in letters]
    visual = torch.tensor([[cell == "v" for cell in row] for row in letters])
    block = torch.tensor([[number for _, number in row] for row in parsed])
    return Marks(torch.tensor(starts).cumsum(1) * visual, prompt, answer, block)


def drawn(selector: Selector, *rows: str) -> list[str]:
    """The rows with each selected position as x, without block numbers."""
    plain = ["".join(letter for letter in row if not letter.isdigit()) for row in rows]
    cells = list("".join(plain))
    for place in selector(roles(*rows)).tolist():
        cells[place] = "x"
    width = len(plain[0])
    return ["".join(cells[start : start + width]) for start in range(0, len(cells), width)]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("ppvvppppaa", "ppvvxxxpaa"),
        ("ppvvppaapp", "ppvvxxaaxp"),  # sequential turns: text counts on behind a short question
        ("vvppvvpppp", "vvppvvxxxp"),  # behind the last picture only
        ("pppvv1ppppa2ppppa", "pppvvxxxpaxxxpa"),  # independent turns: each its own
        ("vvp1pppp", "vvxxxxp"),
        ("ppppppaa", "ppppppaa"),  # no picture, no prefix
        ("pp1ppppa2pppa", "ppppppapppa"),
        ("..vvpppp", "..vvxxxp"),
        ("vvpppp..", "vvxxxp.."),
    ],
)
def test_the_prefix_is_the_first_text_behind_the_last_picture(row: str, expected: str) -> None:
    assert drawn(PrefixSelector(3), row) == [expected]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("ppvvpppppaa", "ppvvppxxxaa"),
        ("ppvvppppp", "ppvvppxxx"),
        ("ppvvppaapppp", "ppvvxxaapxxx"),
        ("pppvvppppaapp..", "pppvvpxxxaaxx.."),
        ("..pppvvpppp", "..pppvvpxxx"),
        ("ppppvv1ppppa2ppppa", "ppppvvpxxxapxxxa"),  # the shared opening ends no prompt
        ("ppppvv1pppp2pppp", "ppppvvpxxxpxxx"),  # nor where the answers are still to come
        ("pppp1pppp2pppp", "pppppxxxpxxx"),
        ("pppp1aa", "pxxxaa"),  # an opening that an answer follows directly
        ("pppp", "pxxx"),
        ("vvvv", "vvvv"),
    ],
)
def test_the_suffix_is_the_end_of_each_prompt(row: str, expected: str) -> None:
    assert drawn(SuffixSelector(3), row) == [expected]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("pppppvvpppppaa", "xxpppvvppxxxaa"),
        ("pppppvvpaa", "xxpxxvvxaa"),  # the picture between them does not count
        ("pppppvvppppaapppp", "xxpppvvpxxxaapxxx"),  # sequential turns: one beginning, two ends
        ("ppppvv1pppppp2ppppppaa", "ppppvvxxpxxxxxpxxxaa"),  # independent turns: each its own
        ("pppppp", "xxpxxx"),
        ("..pppppp", "..xxpxxx"),
        ("pppppp..", "xxpxxx.."),
        ("pppaa", "xxxaa"),
    ],
)
def test_loreft_takes_the_first_and_last_text_of_each_prompt(row: str, expected: str) -> None:
    assert drawn(FirstAndLast(2, 3), row) == [expected]


TEXT_SELECTORS = [PrefixSelector(3), SuffixSelector(3), FirstAndLast(2, 3), FirstAndLast(2, 0), FirstAndLast(0, 3)]
talks = st.lists(
    st.tuples(st.integers(0, 4), st.booleans(), st.lists(st.integers(1, 8), min_size=1, max_size=3)),
    min_size=1,
    max_size=3,
)


def chosen(selector: Selector, batch: Any) -> list[list[tuple[int, int]]]:
    """Block and position of each selected token, sample by sample: what padding and answers must not change."""
    width = batch.input_ids.shape[1]
    found: list[list[tuple[int, int]]] = [[] for _ in batch.input_ids]
    for place in selector(batch.marks).tolist():
        row, column = divmod(place, width)
        found[row].append((int(batch.marks.block[row, column]), int(batch.position_ids[row, column])))
    return found


def samples(talk: list, *, answers: bool) -> list[Sample]:
    return [
        Sample(
            opening=(7,) * opening,
            turns=tuple(Turn((5,) * words, (6, 6) if answers else ()) for words in questions),
            features=torch.zeros(4, 2) if pictured else None,
        )
        for opening, pictured, questions in talk
    ]


@given(talks)
@settings(deadline=None, max_examples=60)
def test_independent_questions_select_the_same_tokens_with_and_without_their_answers(talk: list) -> None:
    for selector in TEXT_SELECTORS:
        trained = chosen(selector, collate(samples(talk, answers=True)))
        assert trained == chosen(selector, collate(samples(talk, answers=False)))
        assert trained == chosen(selector, collate(samples(talk, answers=True), pad_left=True))
        for sample, expected in zip(samples(talk, answers=True), trained, strict=True):
            assert chosen(selector, collate([sample])) == [expected]


@given(talks)
@settings(deadline=None, max_examples=60)
def test_sequential_questions_select_the_same_tokens_before_the_last_answer_is_there(talk: list) -> None:
    trained = collate(samples(talk, answers=True), independent=False)
    asked = [replace(one, turns=(*one.turns[:-1], Turn(one.turns[-1].question))) for one in samples(talk, answers=True)]
    for selector in TEXT_SELECTORS:
        for left in (False, True):
            assert chosen(selector, collate(asked, independent=False, pad_left=left)) == chosen(selector, trained)


@given(talks)
@settings(deadline=None, max_examples=60)
def test_answers_padding_and_pictures_are_never_among_the_texts_selected(talk: list) -> None:
    for independent in (True, False):
        batch = collate(samples(talk, answers=True), independent=independent)
        for selector in TEXT_SELECTORS:
            places = selector(batch.marks)
            assert batch.marks.prompt.flatten()[places].all() and places.tolist() == sorted(set(places.tolist()))
