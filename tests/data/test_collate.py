"""Who may see whom, at which position, in which role."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from steering.data.collate import Batch, Sample, collate
from steering.data.templates import Turn
from steering.errors import DataError

V = 3
TURNS = (Turn((10, 11), (12, 9)), Turn((20,), (21, 22, 9)))
PICTURED = Sample((1, 2), TURNS, torch.arange(V * 2.0).view(V, 2))
TEXT = Sample((1, 2), (Turn((30, 31), (32, 9)),))


def row(batch: Batch, at: int = 0) -> dict[str, list[int]]:
    return {
        "ids": batch.input_ids[at].tolist(),
        "positions": batch.position_ids[at].tolist(),
        "picture": batch.marks.picture[at].tolist(),
        "prompt": batch.marks.prompt[at].int().tolist(),
        "answer": batch.marks.answer[at].int().tolist(),
        "block": batch.marks.block[at].tolist(),
    }


def test_every_position_has_its_token_place_and_role() -> None:
    assert row(collate([PICTURED])) == {
        "ids": [1, 2, 0, 0, 0, 10, 11, 12, 9, 20, 21, 22, 9],
        "positions": [0, 1, 2, 3, 4, 5, 6, 7, 8, 5, 6, 7, 8],
        "picture": [0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        "prompt": [1, 1, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0],
        "answer": [0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 1, 1, 1],
        "block": [0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2],
    }


def test_sequential_turns_count_on_and_share_all() -> None:
    batch = collate([PICTURED], independent=False)
    assert row(batch)["positions"] == list(range(13))
    assert row(batch)["block"] == [0] * 13
    assert torch.equal(batch.visible[0, 0], torch.ones(13, 13, dtype=torch.bool).tril())


def test_a_question_sees_the_shared_part_and_itself() -> None:
    seen = collate([PICTURED]).visible[0, 0]
    assert seen[8].nonzero().flatten().tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert seen[9].nonzero().flatten().tolist() == [0, 1, 2, 3, 4, 9]
    assert seen[12].nonzero().flatten().tolist() == [0, 1, 2, 3, 4, 9, 10, 11, 12]
    assert seen[4].nonzero().flatten().tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("pad_left", "padded"), [(False, range(6, 13)), (True, range(7))])
def test_padded_positions_have_no_role_and_see_themselves_alone(pad_left: bool, padded: range) -> None:
    batch = collate([PICTURED, TEXT], pad_left=pad_left)
    seen, marks = batch.visible[1, 0], batch.marks
    for at in padded:
        assert seen[at].nonzero().flatten().tolist() == [at]
        assert seen[:, at].nonzero().flatten().tolist() == [at]
        assert not (marks.visual | marks.prompt | marks.answer)[1, at]
        assert (batch.input_ids[1, at], batch.position_ids[1, at]) == (0, 0)


def test_padding_moves_a_sample_and_changes_nothing_else() -> None:
    left, alone = row(collate([PICTURED, TEXT], pad_left=True), 1), row(collate([TEXT]))
    right = row(collate([PICTURED, TEXT]), 1)
    assert {name: values[-6:] for name, values in left.items()} == alone
    assert {name: values[:6] for name, values in right.items()} == alone


def test_features_come_in_the_order_of_the_pictured_samples() -> None:
    other = Sample((1,), TURNS, torch.full((V, 2), 7.0))
    batch = collate([other, TEXT, PICTURED])
    assert torch.equal(batch.features, torch.stack([other.features, PICTURED.features]))
    assert collate([TEXT, TEXT]).features is None


def test_a_picture_takes_the_positions_it_is_told_to() -> None:
    fewer = Sample((1, 2), TURNS, torch.zeros(7, 2), visual_tokens=V)
    live = Sample((1, 2), TURNS, pixels=torch.zeros(3, 4, 4), visual_tokens=V)
    assert row(collate([fewer])) == row(collate([live])) == row(collate([PICTURED]))


def test_pixels_come_in_the_order_of_the_pictured_samples() -> None:
    live = [Sample((1,), TURNS, pixels=torch.full((3, 4, 4), level), visual_tokens=V) for level in (0.0, 1.0)]
    batch = collate([live[1], TEXT, live[0]])
    assert batch.features is None
    assert batch.pixels is not None
    assert batch.pixels[:, 0, 0, 0].tolist() == [1, 0]
    assert torch.equal(batch.to("cpu").pixels, batch.pixels)
    assert (batch.pictured, collate([TEXT]).pictured, collate([PICTURED]).pictured) == (True, False, True)


def test_pixels_without_a_number_of_tokens_are_refused() -> None:
    with pytest.raises(DataError, match="without visual_tokens"):
        collate([Sample((1,), TURNS, pixels=torch.zeros(3, 4, 4))])


def test_features_beside_pixels_are_refused() -> None:
    with pytest.raises(DataError, match="features and pixels"):
        collate([PICTURED, Sample((1,), TURNS, pixels=torch.zeros(3, 4, 4), visual_tokens=V)])


def test_tokens_counts_what_is_not_padding() -> None:
    assert collate([PICTURED, TEXT]).tokens == 13 + 6


def test_a_moved_batch_is_whole() -> None:
    batch = collate([PICTURED, TEXT]).to("cpu")
    assert batch.tokens == 19
    assert torch.equal(batch.features, PICTURED.features.unsqueeze(0))
    assert collate([TEXT]).to("cpu").features is None


def test_independent_turns_without_a_question_are_refused() -> None:
    """Their first token would be predicted from the end of the turn before."""
    captions = Sample((), (Turn((), (5, 9)), Turn((), (6, 9))), PICTURED.features)
    with pytest.raises(DataError, match="without a question"):
        collate([captions])
    assert row(collate([captions], independent=False))["answer"] == [0, 0, 0, 1, 1, 1, 1]


def test_a_caption_alone_needs_no_question() -> None:
    assert row(collate([Sample((), (Turn((), (5, 9)),), PICTURED.features)]))["answer"] == [0, 0, 0, 1, 1]


TOKENS = st.lists(st.integers(1, 50), min_size=1, max_size=4).map(tuple)
SAMPLES = st.builds(
    Sample,
    opening=TOKENS,
    turns=st.lists(st.builds(Turn, question=TOKENS, answer=TOKENS), min_size=1, max_size=3).map(tuple),
    features=st.sampled_from([None, torch.zeros(V, 2)]),
)


@settings(max_examples=40, deadline=None)
@given(samples=st.lists(SAMPLES, min_size=1, max_size=4), independent=st.booleans(), pad_left=st.booleans())
def test_what_holds_for_every_batch(samples: list[Sample], independent: bool, pad_left: bool) -> None:
    batch = collate(samples, independent=independent, pad_left=pad_left)
    marks, seen = batch.marks, batch.visible[:, 0]
    roles = marks.visual.int() + marks.prompt.int() + marks.answer.int()
    assert roles.max() == 1
    assert int(marks.answer.sum()) == sum(len(turn.answer) for sample in samples for turn in sample.turns)
    assert not seen.triu(1).any()
    assert seen.diagonal(dim1=1, dim2=2).all()
    for at, positions in enumerate(batch.position_ids):
        # whatever a real position sees besides itself stands before it, each place once
        for here in roles[at].nonzero().flatten().tolist():
            places = positions[seen[at, here]].tolist()
            assert sorted(places) == list(range(int(positions[here]) + 1))
