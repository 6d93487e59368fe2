"""Open questions in the VQA v2 format (VQAv2, VizWiz-like, easy-VQA): ten references a question, VQA accuracy.

Files: <split>_questions.json {"questions": [...]} and <split>_annotations.json {"annotations": [...]}.
Accuracy of an answer = mean over the ten references of min(1, matches among the other nine / 3), everything through
the EvalAI normaliser (official VQA evaluation; LLaVA's TextVQA scorer gives the same value).
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
    read_json,
    share,
)
from steering.evaluate.normalise import normalise

REFERENCES = 10
MATCHES_FOR_FULL_MARKS = 3


def vqa_accuracy(answer: str, references: tuple[str, ...]) -> float:
    """VQA accuracy in 0..1 of *answer* against its references, leaving each out once (closed form)."""
    said = normalise(answer)
    n = len(references)
    matches = sum(normalise(reference) == said for reference in references)
    left_in = min(1.0, matches / MATCHES_FOR_FULL_MARKS)
    left_out = min(1.0, (matches - 1) / MATCHES_FOR_FULL_MARKS)
    return ((n - matches) * left_in + matches * left_out) / n


PROTOCOL = {
    "decoding": "generation",
    "prompt": f"question, then: {SHORT_ANSWER}",
    "scoring": "VQA accuracy, leave-one-out over 10 references, EvalAI normaliser; an empty answer is unparsed",
}


class Vqa:
    """subset: an answer_type or a question_type of the annotations, None for all; category: the question_type."""

    name = "vqa"
    version = 1
    metric = "accuracy"
    metrics: tuple[str, ...] = ("accuracy",)
    max_new_tokens = 16
    lettered = False
    protocol: Mapping[str, str] = PROTOCOL

    def examples(self, root: Path, split: str, subset: str | None = None) -> list[Example]:
        questions = field(read_json(root / f"{split}_questions.json"), "questions", f"{split}_questions.json")
        path = root / f"{split}_annotations.json"
        annotations = field(read_json(path), "annotations", str(path))
        by_id = {field(row, "question_id", str(path)): row for row in annotations}
        kinds = {row.get(kind, "") for row in annotations for kind in ("question_type", "answer_type")}
        check_subset(self.name, subset, kinds)
        pairs = [(row, self._annotation(row, by_id, path)) for row in questions]
        return [_example(row, note, split) for row, note in pairs if subset in (None, *_kinds(note))]

    def _annotation(self, question: Any, by_id: dict[Any, Any], path: Path) -> Any:
        number = field(question, "question_id", str(path))
        if number not in by_id:
            raise DataError(f"{path}: question {number} has no annotation; every question needs one")
        found = len(field(by_id[number], "answers", str(path)))
        if found != REFERENCES:
            raise DataError(f"{path}: question {number} has {found} answers; VQA accuracy takes {REFERENCES}")
        return by_id[number]

    def outcome(self, example: Example, answer: str) -> dict[str, float]:
        parsed = float(bool(answer.strip()))
        return {"correct": vqa_accuracy(answer, example.answers) if parsed else 0.0, "parsed": parsed}

    def measure(self, name: str, outcomes: Outcomes, weights: Array) -> Array:
        return {"accuracy": share}[name](weights, outcomes["correct"])


def _kinds(annotation: Any) -> tuple[str, str]:
    return annotation.get("question_type", ""), annotation.get("answer_type", "")


def _example(question: Any, annotation: Any, split: str) -> Example:
    text = field(question, "question", "questions").strip()
    return Example(
        id=str(question["question_id"]),
        image=f"{split}/{field(question, 'image_id', 'questions')}.png",
        prompt=f"{text}\n{SHORT_ANSWER}",
        target=str(field(annotation, "multiple_choice_answer", "annotations")),
        answers=tuple(str(field(reference, "answer", "annotations")) for reference in annotation["answers"]),
        question=text,
        category=annotation.get("question_type", ""),
    )


VQA = Vqa()
