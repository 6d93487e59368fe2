"""Open questions in the VQA v2 format (VQAv2, easy-VQA): ten references a question, VQA accuracy.

Files of VQA: <split>_questions.json {"questions": [...]} and <split>_annotations.json {"annotations": [...]}. VQAV2 has
the official names of these for train and val, and LLaVA's question lines {"question_id", "image", "text"} for test-dev
and test, whose references only the test server has.
Accuracy of an answer = mean over the ten references of min(1, matches among the other nine / 3), everything through
the EvalAI normaliser (confirmed: LLaVA's m4c_evaluator.py, by which it scores TextVQA and sends VQAv2 and VizWiz in).
The authors' vqaEval.py departs from it in what it does to references: it takes marks from them only where they differ
among themselves, and leaves their case, number words and articles. Here both sides are treated alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    parse_json,
    read_json,
    read_text,
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


def outcome_of(example: Example, answer: str) -> dict[str, float]:
    """correct and parsed of an open answer; raises DataError where the test server alone has the references."""
    if not example.answers:
        raise DataError(f"question {example.id}: no references; its answers are on the test server, to submit to")
    parsed = float(bool(answer.strip()))
    return {"correct": vqa_accuracy(answer, example.answers) if parsed else 0.0, "parsed": parsed}


def references(answers: Sequence[Any], where: str) -> tuple[str, ...]:
    """The ten references, given as texts or as rows with "answer"; raises DataError for another number."""
    if len(answers) != REFERENCES:
        raise DataError(f"{where} has {len(answers)} answers; VQA accuracy takes {REFERENCES}")
    return tuple(str(one if isinstance(one, str) else field(one, "answer", where)) for one in answers)


def most_given(answers: tuple[str, ...]) -> str:
    """The most frequent reference, of equals the first; empty without any."""
    return Counter(answers).most_common(1)[0][0] if answers else ""


def read_lines(path: Path) -> Iterator[tuple[Any, str]]:
    """Each JSON line of *path* with where it stands; raises DataError that names a broken line."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield parse_json(line, f"{path}:{number}"), f"{path}:{number}"


def check_no_subset(form: str, subset: str | None) -> None:
    """Raise DataError for any *subset* of a form that has none."""
    if subset is not None:
        raise DataError(f"{form}: subset {subset!r} is unknown; it has none, so leave it out")


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
        paths = (root / f"{split}_questions.json", root / f"{split}_annotations.json")
        return self._annotated(*paths, subset, lambda image: f"{split}/{image}.png", category="question_type")

    def outcome(self, example: Example, answer: str) -> dict[str, float]:
        return outcome_of(example, answer)

    def measure(self, name: str, outcomes: Outcomes, weights: Array) -> Array:
        return {"accuracy": share}[name](weights, outcomes["correct"])

    def _annotated(
        self, path: Path, notes_path: Path, subset: str | None, picture: Callable[[Any], str], *, category: str
    ) -> list[Example]:
        """The questions of *path* with their annotations; category: the annotations' field that gives it."""
        questions = field(read_json(path), "questions", path.name)
        notes = field(read_json(notes_path), "annotations", str(notes_path))
        by_id = {field(row, "question_id", str(notes_path)): row for row in notes}
        check_subset(self.name, subset, {kind for row in notes for kind in _kinds(row)})
        pairs = [(row, _annotation(row, by_id, notes_path)) for row in questions]
        kept = [(row, note) for row, note in pairs if subset in (None, *_kinds(note))]
        return [_example(row, note, notes_path, picture=picture, category=category) for row, note in kept]


ANSWER_TYPES = ("yes/no", "number", "other")
TYPE_METRICS = {f"accuracy_{name.replace('/', '_')}": name for name in ANSWER_TYPES}
LINES = {"test-dev": "llava_vqav2_mscoco_test-dev2015.jsonl", "test": "llava_vqav2_mscoco_test2015.jsonl"}


class VqaV2(Vqa):
    """VQAv2 in its own files: splits train and val are scored here, test-dev and test are for submission.

    subset: as in Vqa, none for the test splits; category: the answer_type. Pictures have COCO's file names.
    """

    name = "vqav2"
    metrics: tuple[str, ...] = ("accuracy", *TYPE_METRICS)

    def examples(self, root: Path, split: str, subset: str | None = None) -> list[Example]:
        if split in LINES:
            check_no_subset(f"{self.name} {split}", subset)
            return [_asked(row, where) for row, where in read_lines(root / LINES[split])]
        paths = (
            root / f"v2_OpenEnded_mscoco_{split}2014_questions.json",
            root / f"v2_mscoco_{split}2014_annotations.json",
        )
        return self._annotated(*paths, subset, lambda image: _coco_name(image, split), category="answer_type")

    def outcome(self, example: Example, answer: str) -> dict[str, float]:
        return {**outcome_of(example, answer), **flags(example.category, ANSWER_TYPES)}

    def measure(self, name: str, outcomes: Outcomes, weights: Array) -> Array:
        if name == "accuracy":
            return share(weights, outcomes["correct"])
        inside = outcomes[TYPE_METRICS[name]]
        return share(weights, outcomes["correct"] * inside, inside)


def _kinds(annotation: Any) -> tuple[str, str]:
    return annotation.get("question_type", ""), annotation.get("answer_type", "")


def _annotation(question: Any, by_id: Mapping[Any, Any], path: Path) -> Any:
    number = field(question, "question_id", str(path))
    if number not in by_id:
        raise DataError(f"{path}: question {number} has no annotation; every question needs one")
    return by_id[number]


def _coco_name(image: Any, split: str) -> str:
    if not isinstance(image, int):
        raise DataError(f"vqav2 {split}: image_id {image!r}; allowed are whole numbers, as COCO has them")
    return f"COCO_{split}2014_{image:012d}.jpg"


def _example(question: Any, annotation: Any, path: Path, *, picture: Callable[[Any], str], category: str) -> Example:
    text = field(question, "question", "questions").strip()
    where = f"{path}: question {question['question_id']}"
    return Example(
        id=str(question["question_id"]),
        image=picture(field(question, "image_id", "questions")),
        prompt=f"{text}\n{SHORT_ANSWER}",
        target=str(field(annotation, "multiple_choice_answer", "annotations")),
        answers=references(field(annotation, "answers", where), where),
        question=text,
        category=annotation.get(category, ""),
    )


def _asked(row: Any, where: str) -> Example:
    """A question line of LLaVA: its text is the whole prompt, and it has no references."""
    text = field(row, "text", where)
    question = text.removesuffix(SHORT_ANSWER).strip()
    return Example(str(field(row, "question_id", where)), field(row, "image", where), text, "", (), question=question)


VQA = Vqa()
VQAV2 = VqaV2()
