"""Every question is answered once, however questions are packed and batched."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from steering.data.collate import Sample
from steering.data.templates import Scribe, template_named
from steering.evaluate.benchmarks import Example
from steering.evaluate.likelihood import Request
from steering.evaluate.predict import Answer, Question, _packed, asked_in, part_of, planned, predict
from steering.model.composed import ComposedModel

MOST = 12


def question(
    number: int, picture: str | None = None, *, group: str | None = None, prompt: str = "What?", **more: Any
) -> Question:
    example = Example(str(number), picture and picture.split("/", 1)[1], prompt, "x", ("x",))
    return Question("pope", example, picture, group or picture or f"text/{number}", **more)


def weighed(number: int, context: str = "Two and two is") -> Question:
    request = Request(f"{context}{number}", (" 3", " four", " 5"))
    return question(number, prompt=request.context, max_new_tokens=0, request=request)


def answers(model: Any, samples: Any, questions: list[Question], *, batch: int = 8) -> list[Answer]:
    return [one for said in predict(model, samples, planned(questions, batch=batch)) for one in said]


def said(found: list[Answer]) -> dict[str, str]:
    return {one.question.example.id: one.said for one in found}


class Samples:
    """Pictures by name, each with features of its own; notes what was asked about."""

    def __init__(self, tokenizer: Any):
        self.scribe = Scribe(tokenizer, template_named("chatml"))
        self.asked: list[tuple[str | None, int]] = []

    def sample(self, picture: str | None, turns: Iterable[tuple[str, str | None]]) -> Sample:
        pairs = list(turns)
        self.asked.append((picture, len(pairs)))
        written = tuple(self.scribe.turn(asked, told, pictured=picture is not None) for asked, told in pairs)
        return Sample(self.scribe.opening, written, None if picture is None else self.features(picture))

    @staticmethod
    def features(picture: str) -> torch.Tensor:
        return torch.randn(5, 8, generator=torch.Generator().manual_seed(sum(picture.encode())))


@pytest.fixture
def questions() -> list[Question]:
    """Three pictures with 5, 2 and 1 questions and two questions of text, in turn."""
    pictures = ["icons/a", "icons/b", None, "easy/c", "icons/a", "icons/a", None, "icons/b", "icons/a", "icons/a"]
    return [question(n, picture, prompt=f"{'long ' * (n % 4)}{n}?") for n, picture in enumerate(pictures)]


def ids(asked: Iterable[Question]) -> Counter:
    return Counter(one.example.id for one in asked)


@given(
    pictures=st.lists(st.sampled_from([None, "icons/a", "icons/b", "easy/a", "easy/b"]), max_size=60),
    most=st.integers(1, 12),
)
def test_packing_keeps_every_question_once_and_pictures_apart(pictures: list[str | None], most: int) -> None:
    asked = [question(number, picture, prompt="x" * (number % 7)) for number, picture in enumerate(pictures)]
    packs = _packed(asked, most=most)
    assert ids(one for pack in packs for one in pack) == ids(asked)
    assert all(1 <= len(pack) <= most for pack in packs)
    assert all(len({one.picture for one in pack}) == 1 for pack in packs)
    lengths = [sum(len(one.example.prompt) for one in pack) for pack in packs]
    assert lengths == sorted(lengths, reverse=True)


def test_names_of_one_picture_share_a_pack() -> None:
    asked = [question(0, "icons/train/1.png", group="f00"), question(1, "icons/iconqa/7.png", group="f00")]
    assert [len(pack) for pack in _packed(asked)] == [2]


def test_equal_pictures_of_two_data_sets_stay_apart() -> None:
    asked = [question(0, "icons/1.png", group="f00"), question(1, "easy/1.png", group="f00")]
    assert [len(pack) for pack in _packed(asked)] == [1, 1]


def test_many_questions_on_a_picture_are_cut_into_packs() -> None:
    packs = _packed([question(number, "icons/a") for number in range(2 * MOST + 1)])
    assert sorted(len(pack) for pack in packs) == [1, MOST, MOST]


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_each_question_is_answered_once_as_if_alone(
    batch: int, questions: list[Question], make_model: Callable, tokenizer: Any
) -> None:
    model, samples = make_model().eval(), Samples(tokenizer)
    found = answers(model, samples, questions, batch=batch)
    alone = [answer for one in questions for answer in answers(model, samples, [one])]
    assert Counter(one.question.example.id for one in found) == ids(questions)
    assert said(found) == said(alone)
    assert len(set(said(found).values())) > 1


def test_a_picture_is_looked_up_once_for_all_its_questions(
    questions: list[Question], make_model: Callable, tokenizer: Any
) -> None:
    samples = Samples(tokenizer)
    answers(make_model().eval(), samples, questions)
    assert sorted(samples.asked, key=str) == [("easy/c", 1), ("icons/a", 5), ("icons/b", 2), (None, 2)]


def test_no_questions_give_no_answers(make_model: Callable, tokenizer: Any) -> None:
    assert planned([]) == []
    assert answers(make_model().eval(), Samples(tokenizer), []) == []


def test_questions_of_another_limit_or_split_are_in_batches_of_their_own(questions: list[Question]) -> None:
    long = [replace(one, max_new_tokens=1024) for one in questions]
    test, val = [*questions, *long], [replace(one, split="val") for one in questions]
    batches = planned([*test, *val], batch=2)
    kinds = [{(one.split, one.max_new_tokens) for one in asked_in(batch)} for batch in batches]
    assert kinds == [{("test", 16)}] * 2 + [{("test", 1024)}] * 2 + [{("val", 16)}] * 2


def test_questions_of_one_limit_keep_the_order_that_they_have_without_others(questions: list[Question]) -> None:
    long = [replace(one, max_new_tokens=1024) for one in questions]
    mixed = [one for pair in zip(questions, long, strict=True) for one in pair]
    assert planned(mixed) == planned(questions) + planned(long)


def test_no_answer_is_longer_than_its_forms_limit(make_model: Callable, tokenizer: Any) -> None:
    asked = [question(limit, "icons/a", max_new_tokens=limit) for limit in (1, 3, 7)]
    found = said(answers(make_model().eval(), Samples(tokenizer), asked))
    longest = found["7"]
    assert longest.startswith(found["3"]) and found["3"].startswith(found["1"])
    assert len(found["1"]) < len(found["3"]) < len(longest)


def test_what_is_weighed_stands_in_batches_of_its_own(make_model: Callable, tokenizer: Any) -> None:
    asked = [weighed(1), question(2), weighed(3), question(4, "icons/a")]
    batches = planned(asked, batch=2)
    assert [[one.example.id for one in asked_in(batch)] for batch in batches] == [["1", "3"], ["2", "4"]]
    assert {len(pack) for pack in batches[0]} == {1}
    model, samples = make_model().eval(), Samples(tokenizer)
    found = said(answers(model, samples, asked, batch=2))
    for one in asked:
        alone = said(answers(model, samples, [one]))[one.example.id]
        if one.request is None:
            assert found[one.example.id] == alone
        else:
            values = json.loads(found[one.example.id])
            assert values == pytest.approx(json.loads(alone), abs=1e-4)
            assert len(values) == 3 and max(values) < 0


def test_a_context_that_was_cut_says_how_much(
    make_language_model: Callable, make_model: Callable, tokenizer: Any
) -> None:
    model = ComposedModel(make_model().connector, make_language_model(max_position_embeddings=16)).eval()
    found = answers(model, Samples(tokenizer), [weighed(1), weighed(2, "a")])
    # " four" is 5 tokens, of which 4 are read
    assert {one.question.example.id: one.cut for one in found} == {"1": len("Two and two is1") + 4 - 16, "2": 0}


@given(count=st.integers(0, 50), parts=st.integers(1, 9))
def test_parts_are_the_whole_in_order_and_of_like_size(count: int, parts: int) -> None:
    batches: Any = list(range(count))
    ranges = [part_of(batches, part, parts) for part in range(1, parts + 1)]
    assert [batch for own in ranges for batch in own] == batches
    assert max(map(len, ranges)) - min(map(len, ranges)) <= 1
