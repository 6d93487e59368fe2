"""Questions that blind people asked about their own photographs, in the VizWiz format; some cannot be answered.

Files: <split>.json, a list of {"image", "question", "answers": [10 x {"answer", "answer_confidence"}], "answer_type",
"answerable": 0 or 1}; test.json has neither answers nor answerable and is for submission. Prompt: LLaVA's, with its
sentence on "Unanswerable". Score: VQA accuracy over all ten references, "unanswerable" being one answer among others.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steering.errors import DataError
from steering.evaluate.benchmarks.form import (
    SHORT_ANSWER,
    Array,
    Example,
    Outcomes,
    check_subset,
    field,
    flags,
    read_json,
    share,
)
from steering.evaluate.benchmarks.vqa import most_given, outcome_of, references

UNANSWERABLE = "When the provided information is insufficient, respond with 'Unanswerable'."
CATEGORIES = ("unanswerable", "answerable")
PROTOCOL = {
    "decoding": "generation",
    "prompt": f"question, {UNANSWERABLE} {SHORT_ANSWER}",
    "scoring": "VQA accuracy, leave-one-out over 10 references, EvalAI normaliser; an empty answer is unparsed",
}


class VizWiz:
    """subset: answerable or unanswerable, which are also the categories; None for both. A picture has one question."""

    name = "vizwiz"
    version = 1
    metric = "accuracy"
    metrics: tuple[str, ...] = ("accuracy", *(f"accuracy_{category}" for category in CATEGORIES))
    max_new_tokens = 16
    lettered = False
    protocol: Mapping[str, str] = PROTOCOL

    def examples(self, root: Path, split: str, subset: str | None = None) -> list[Example]:
        check_subset(self.name, subset, CATEGORIES)
        path = root / f"{split}.json"
        rows = read_json(path)
        if not isinstance(rows, list):
            raise DataError(f"{path}: a {type(rows).__name__}; allowed is a list of questions")
        examples = [_example(row, f"{path}: row {number}") for number, row in enumerate(rows, start=1)]
        return [example for example in examples if subset in (None, example.category)]

    def outcome(self, example: Example, answer: str) -> dict[str, float]:
        return {**outcome_of(example, answer), **flags(example.category, CATEGORIES)}

    def measure(self, name: str, outcomes: Outcomes, weights: Array) -> Array:
        if name == "accuracy":
            return share(weights, outcomes["correct"])
        inside = outcomes[name.removeprefix("accuracy_")]
        return share(weights, outcomes["correct"] * inside, inside)


def _example(row: Any, where: str) -> Example:
    question, image = field(row, "question", where).strip(), field(row, "image", where)
    answers = references(row["answers"], where) if "answers" in row else ()
    return Example(
        id=image,
        image=image,
        prompt=f"{question}\n{UNANSWERABLE}\n{SHORT_ANSWER}",
        target=most_given(answers),
        answers=answers,
        question=question,
        category=_category(field(row, "answerable", where), where) if answers else "",
    )


def _category(answerable: Any, where: str) -> str:
    if answerable not in (0, 1):
        raise DataError(f"{where}: answerable {answerable!r}; allowed are 0 and 1")
    return CATEGORIES[int(answerable)]


VIZWIZ = VizWiz()
