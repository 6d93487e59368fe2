"""Answers of one model to many questions: questions are packed by picture, pictures by batch, longest first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from steering.assemble import Samples
from steering.data.collate import collate
from steering.evaluate.benchmarks import Example
from steering.evaluate.generate import answer
from steering.model.composed import ComposedModel
from steering.progress import progress


@dataclass(frozen=True)
class Question:
    """An example with the benchmark it belongs to, its picture ("<dataset>/<name>" or None) and its cluster."""

    benchmark: str
    example: Example
    picture: str | None
    group: str


def predict(
    model: ComposedModel, samples: Samples, questions: Sequence[Question], *, max_new_tokens: int, batch: int = 8
) -> Iterator[tuple[Question, str]]:
    """Each question with the model's greedy answer; questions about one picture share its prefill."""
    closing = samples.scribe.closing[0]
    packs = _packed(questions)
    for start in progress(range(0, len(packs), batch), "batch of answers"):
        chosen = packs[start : start + batch]
        laid_out = [samples.sample(pack[0].picture, [(q.example.prompt, None) for q in pack]) for pack in chosen]
        said = answer(model, collate(laid_out).to(model.device), max_new_tokens=max_new_tokens, closing=closing)
        for pack, answers in zip(chosen, said, strict=True):
            yield from ((q, samples.scribe.read(ids)) for q, ids in zip(pack, answers, strict=True))


def _packed(questions: Sequence[Question], *, most: int = 12) -> list[list[Question]]:
    """Questions by picture, at most *most* together, in falling order of length so that batches are even."""
    by_picture: dict[Any, list[Question]] = defaultdict(list)
    for question in questions:
        by_picture[question.picture and (question.picture.split("/")[0], question.group)].append(question)
    packs = [asked[i : i + most] for asked in by_picture.values() for i in range(0, len(asked), most)]
    return sorted(packs, key=lambda pack: -sum(len(q.example.prompt) for q in pack))
