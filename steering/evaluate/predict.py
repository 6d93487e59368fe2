"""Answers of one model to many questions: packed by picture, pictures by batch, longest first, in a planned order.

What is generated shares its picture's prefill and is decoded up to its form's own limit; what a form weighs shares
its context. The plan hangs on the questions alone, so that work cut short, or cut into parts, gives the same lines.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from steering.assemble import Samples
from steering.data.collate import collate
from steering.evaluate.benchmarks import Example
from steering.evaluate.generate import answer
from steering.evaluate.likelihood import Request, told
from steering.evaluate.weigh import weigh
from steering.model.composed import ComposedModel

BATCH = 8
"""Packs that go through the model at once."""
PACK = 12
"""Questions about one picture that do."""


@dataclass(frozen=True)
class Question:
    """An example with the benchmark it belongs to, its picture ("<dataset>/<name>" or None) and its cluster.

    request: what is weighed; without one, an answer of at most max_new_tokens is generated.
    """

    benchmark: str
    example: Example
    picture: str | None
    group: str
    split: str = "test"
    max_new_tokens: int = 16
    request: Request | None = None


@dataclass(frozen=True)
class Answer:
    """What the model said to a question; cut: tokens at the context's start that its window had no place for."""

    question: Question
    said: str
    cut: int = 0


Pack = list[Question]
"""Questions that share what stands before them."""


def planned(questions: Sequence[Question], *, batch: int = BATCH) -> list[list[Pack]]:
    """All batches in their order: questions of one split and one limit together, in the order these first come."""
    alike: dict[Any, list[Question]] = defaultdict(list)
    for question in questions:
        alike[question.split, question.request is None, question.max_new_tokens].append(question)
    packs = [_packed(asked) for asked in alike.values()]
    return [found[start : start + batch] for found in packs for start in range(0, len(found), batch)]


def part_of(batches: Sequence[list[Pack]], part: int, parts: int) -> Sequence[list[Pack]]:
    """The batches of *part*, from 1, of so many: ranges of like size that follow each other and leave nothing out."""
    ends = [len(batches) * number // parts for number in (part - 1, part)]
    return batches[ends[0] : ends[1]]


def asked_in(batch: Sequence[Pack]) -> list[Question]:
    """The questions of a batch in the order of their answers."""
    return [question for pack in batch for question in pack]


def predict(model: ComposedModel, samples: Samples, batches: Sequence[list[Pack]]) -> Iterator[list[Answer]]:
    """The answers of each batch; what is generated is greedy, what is weighed is told as its log-likelihoods."""
    for batch in batches:
        yield (_generated if batch[0][0].request is None else _weighed)(model, samples, batch)


def _generated(model: ComposedModel, samples: Samples, batch: Sequence[Pack]) -> list[Answer]:
    laid_out = [samples.sample(pack[0].picture, [(q.example.prompt, None) for q in pack]) for pack in batch]
    longest, closing = batch[0][0].max_new_tokens, samples.scribe.closing[0]
    said = answer(model, collate(laid_out).to(model.device), max_new_tokens=longest, closing=closing)
    texts = [samples.scribe.read(ids) for answers in said for ids in answers]
    return [Answer(question, text) for question, text in zip(asked_in(batch), texts, strict=True)]


def _weighed(model: ComposedModel, samples: Samples, batch: Sequence[Pack]) -> list[Answer]:
    questions = asked_in(batch)
    found = weigh(model, [question.request for question in questions if question.request], samples.scribe.bare)
    return [Answer(question, told(one.loglikelihoods), one.cut) for question, one in zip(questions, found, strict=True)]


def _packed(questions: Sequence[Question], *, most: int = PACK) -> list[Pack]:
    """Questions by picture, at most *most* together, in falling order of length so that batches are even.

    What is weighed stands alone: its context is its own.
    """
    by_picture: dict[Any, list[Question]] = defaultdict(list)
    for number, question in enumerate(questions):
        shared = question.picture and (question.picture.split("/")[0], question.group)
        by_picture[shared if question.request is None else number].append(question)
    packs = [asked[i : i + most] for asked in by_picture.values() for i in range(0, len(asked), most)]
    return sorted(packs, key=lambda pack: -sum(len(q.example.prompt) for q in pack))
