"""Every question is answered once, however questions are packed and batched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from steering.data.collate import Sample
from steering.data.templates import Scribe, template_named
from steering.evaluate.benchmarks import Example
from steering.evaluate.predict import Question, _packed, predict

MOST = 12


def question(number: int, picture: str | None = None, *, group: str | None = None, prompt: str = "What?") -> Question:
    example = Example(str(number), picture and picture.split("/", 1)[1], prompt, "x", ("x",))
    return Question("pope", example, picture, group or picture or f"text/{number}")


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
    said = {q.example.id: text for q, text in predict(model, samples, questions, max_new_tokens=5, batch=batch)}
    alone = {q.example.id: text for one in questions for q, text in predict(model, samples, [one], max_new_tokens=5)}
    assert ids(questions) == Counter(said.keys())
    assert said == alone
    assert len(set(said.values())) > 1


def test_a_picture_is_looked_up_once_for_all_its_questions(
    questions: list[Question], make_model: Callable, tokenizer: Any
) -> None:
    samples = Samples(tokenizer)
    list(predict(make_model().eval(), samples, questions, max_new_tokens=1))
    assert sorted(samples.asked, key=str) == [("easy/c", 1), ("icons/a", 5), ("icons/b", 2), (None, 2)]


def test_no_questions_give_no_answers(make_model: Callable, tokenizer: Any) -> None:
    assert list(predict(make_model().eval(), Samples(tokenizer), [], max_new_tokens=1)) == []
