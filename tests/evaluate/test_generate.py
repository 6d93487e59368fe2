"""Greedy answers to packed questions are those of transformers' generate to each question alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from steering.arms import LoraSettings, MoresSettings, NoneSettings
from steering.data.collate import Batch, Sample, collate
from steering.data.templates import Turn
from steering.evaluate import generate
from steering.evaluate.generate import answer
from steering.model.composed import ComposedModel

ARMS = [NoneSettings(), LoraSettings(rank=4, alpha=8), MoresSettings(rank=2)]
BY_METHOD = pytest.mark.parametrize("settings", ARMS, ids=lambda arm: arm.method)
NEVER = 263  # the last token of the vocabulary; the tests below make sure that it is not said
OPENING = (1, 2, 3)


def stirred(model: ComposedModel) -> ComposedModel:
    """*model* with its trainable parameters moved away from their start, as training does."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        model.language_model.get_output_embeddings().weight[NEVER] = 0
    return model.eval()


def samples(pictured: str = "all") -> list[Sample]:
    """Samples of three, one and two questions of uneven length."""
    generator = torch.Generator().manual_seed(0)
    asked = [((10, 11, 12), (20,), (30, 31, 32, 33, 34)), ((13,),), ((40, 41), (50, 51, 52, 53))]
    seen = {"all": [True] * 3, "some": [True, False, True], "none": [False] * 3}[pictured]
    return [
        Sample(
            OPENING[: 1 + number],
            tuple(Turn(question) for question in questions),
            torch.randn(12, 8, generator=generator) if see else None,
        )
        for number, (questions, see) in enumerate(zip(asked, seen, strict=True))
    ]


def generated(model: ComposedModel, sample: Sample, turn: Turn, *, longest: int, closing: int) -> list[int]:
    """transformers' greedy answer to one question alone, up to *closing*."""
    batch: Batch = collate([Sample(sample.opening, (turn,), sample.features)])
    with torch.no_grad(), model.board.show(batch.marks):
        told = model.language_model.generate(
            inputs_embeds=model.splice(batch),
            attention_mask=torch.ones_like(batch.input_ids),
            max_new_tokens=longest,
            do_sample=False,
            eos_token_id=closing,
            pad_token_id=closing,
        )[0].tolist()
    return told[: told.index(closing)] if closing in told else told


def one_by_one(
    model: ComposedModel, asked: list[Sample], *, longest: int = 6, closing: int = NEVER
) -> list[list[list[int]]]:
    return [
        [generated(model, sample, turn, longest=longest, closing=closing) for turn in sample.turns] for sample in asked
    ]


@BY_METHOD
@pytest.mark.parametrize("pad_left", [False, True])
@pytest.mark.parametrize("pictured", ["all", "some", "none"])
@pytest.mark.parametrize("family", ["llama", "phi"])
def test_packed_answers_are_those_of_generate(
    settings: Any, pictured: str, pad_left: bool, family: str, make_model: Callable
) -> None:
    model = stirred(make_model(settings, family=family))
    packed = answer(model, collate(samples(pictured), pad_left=pad_left), max_new_tokens=6, closing=NEVER)
    assert packed == one_by_one(model, samples(pictured))
    assert len({tuple(said) for row in packed for said in row}) > 1


@BY_METHOD
def test_the_closing_cuts_each_answer_by_itself(settings: Any, make_model: Callable) -> None:
    model = stirred(make_model(settings))
    free = answer(model, collate(samples()), max_new_tokens=8, closing=NEVER)
    closing = free[0][0][2]  # said third by the first question, so it ends that one there
    cut = answer(model, collate(samples()), max_new_tokens=8, closing=closing)
    assert cut == [[said[: said.index(closing)] if closing in said else said for said in row] for row in free]
    assert cut == one_by_one(model, samples(), longest=8, closing=closing)
    assert len(cut[0][0]) <= 2
    assert len({len(said) for row in cut for said in row}) > 1


def test_an_answer_that_begins_with_the_closing_is_empty(make_model: Callable) -> None:
    model, batch = stirred(make_model()), collate(samples()[1:2])
    closing = answer(model, batch, max_new_tokens=1, closing=NEVER)[0][0][0]
    assert answer(model, batch, max_new_tokens=5, closing=closing) == [[[]]]


@pytest.mark.parametrize("longest", [1, 2, 5])
def test_no_answer_is_longer_than_asked_for(longest: int, make_model: Callable) -> None:
    model = stirred(make_model())
    said = answer(model, collate(samples()), max_new_tokens=longest, closing=NEVER)
    assert [[len(one) for one in row] for row in said] == [[longest] * 3, [longest], [longest] * 2]
    longer = answer(model, collate(samples()), max_new_tokens=longest + 2, closing=NEVER)
    assert said == [[one[:longest] for one in row] for row in longer]


def test_every_sample_gets_as_many_answers_as_it_has_questions(make_model: Callable) -> None:
    said = answer(stirred(make_model()), collate(samples("some")), max_new_tokens=2, closing=NEVER)
    assert [len(row) for row in said] == [3, 1, 2]


def test_decoding_stops_when_all_have_closed(make_model: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    model, steps = stirred(make_model()), []
    batch = collate(samples()[1:2])
    free = answer(model, batch, max_new_tokens=4, closing=NEVER)[0][0]
    decode = model.decode
    monkeypatch.setattr(model, "decode", lambda *args, **options: steps.append(1) or decode(*args, **options))
    answer(model, batch, max_new_tokens=50, closing=free[1])
    assert len(steps) == free.index(free[1])


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99, 1.0])
def test_samples_whose_questions_have_ended_leave_the_batch(
    share: float, make_model: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "KEPT_SHARE", share)
    monkeypatch.setattr(generate, "STAY", 0)
    model, asked, sizes = stirred(make_model(MoresSettings(rank=2))), samples(), []
    free = answer(model, collate(asked), max_new_tokens=9, closing=NEVER)
    closing = free[1][0][1]  # said second by the sample of one question
    decode = model.decode
    monkeypatch.setattr(
        model, "decode", lambda ids, *args, **more: sizes.append(len(ids)) or decode(ids, *args, **more)
    )
    cut = answer(model, collate(asked), max_new_tokens=9, closing=closing)
    assert cut == [[said[: said.index(closing)] if closing in said else said for said in row] for row in free]
    ends = [max(len(said) for said in row) for row in cut]  # steps that each sample takes
    going = [sum(end > step for end in ends) for step in range(max(ends))][: len(sizes)]
    assert len(set(going)) > 1
    assert sizes == (going if share == 1 else sizes)
    assert sizes == ([3] * len(sizes) if share == 0 else sizes)
    assert all(size >= left for size, left in zip(sizes, going, strict=True))


def test_nobody_leaves_while_answers_are_short(make_model: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "KEPT_SHARE", 1.0)
    model, sizes, decode = stirred(make_model()), [], ComposedModel.decode
    monkeypatch.setattr(
        model, "decode", lambda ids, *at, **seen: sizes.append(len(ids)) or decode(model, ids, *at, **seen)
    )
    closing = answer(model, collate(samples()), max_new_tokens=2, closing=NEVER)[1][0][1]
    answer(model, collate(samples()), max_new_tokens=generate.STAY, closing=closing)
    assert set(sizes) == {3}


def test_answers_do_not_hang_on_the_batch(make_model: Callable) -> None:
    model = stirred(make_model(MoresSettings(rank=2)))
    together = answer(model, collate(samples()), max_new_tokens=5, closing=NEVER)
    apart = [answer(model, collate([one]), max_new_tokens=5, closing=NEVER)[0] for one in samples()]
    assert together == apart


@BY_METHOD
def test_generating_leaves_no_marks_and_no_gradients(settings: Any, make_model: Callable) -> None:
    model = stirred(make_model(settings))
    answer(model, collate(samples()), max_new_tokens=2, closing=NEVER)
    assert model.board.current is None
    assert all(parameter.grad is None for parameter in model.parameters())


@BY_METHOD
@pytest.mark.parametrize("pictured", ["all", "none"])
def test_a_streamed_answer_is_the_whole_one_token_by_token(settings: Any, pictured: str, make_model: Callable) -> None:
    model = stirred(make_model(settings))
    for sample in samples(pictured):
        batch = collate([Sample(sample.opening, sample.turns[:1], sample.features)])
        ((whole,),) = answer(model, batch, max_new_tokens=6, closing=NEVER)
        assert list(generate.stream(model, batch, max_new_tokens=6, closing=NEVER)) == whole and len(whole) == 6
        cut = whole[: whole.index(whole[3])]
        assert list(generate.stream(model, batch, max_new_tokens=6, closing=whole[3])) == cut


@torch.no_grad()
def test_of_words_that_tie_in_bfloat16_the_likelier_is_said(make_model: Callable) -> None:
    model, batch = make_model().eval(), collate(samples()[1:2])
    model.language_model.to(torch.bfloat16)
    state = model.hidden(batch, use_cache=False).last_hidden_state[0, -1]
    weight = model.language_model.get_output_embeddings().weight.zero_()
    weight[7] = weight[9] = state
    place = state.abs().median(0).indices
    weight[9, place] += state[place] / 64  # its last bits, far below those of the sum
    assert model.logits(state)[7] == model.logits(state)[9] == model.logits(state).max()
    assert answer(model, batch, max_new_tokens=1, closing=NEVER) == [[[9]]]
    assert list(generate.stream(model, batch, max_new_tokens=1, closing=NEVER)) == [9]
