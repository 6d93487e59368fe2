"""Open questions that need several capabilities at once: MM-Vet, graded 0 to 1 by a judge.

File: mm-vet.json {"v1_0": {"imagename", "question", "answer" with <AND> and <OR>, "capability": [...]}}; pictures are
images/<imagename>. The judge reads the official prompt (the header and its seven graded examples), which is handed in
as a file and is no part of this library, then after an empty line "question | truth | prediction | ". A grade is the
reply up to its first space, where that is a number in 0..1. An unread reply is asked for again with one more line, at
temperatures 0, 0.5, 1 and 1.5 (confirmed: the authors' mm-vet_evaluator.py). That script gives 0 after these five, and
takes "nan" for a grade; here such an answer has no grade, and without all grades there is no score. It averages the
grades over all questions, over those that need a capability and over those that need exactly a set of them; its
figures are ours times 100.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from steering.errors import DataError, nearest
from steering.evaluate.benchmarks.form import Array, Example, Outcomes, check_subset, field, read_json, share
from steering.evaluate.judge import JudgePrompt, JudgeQuestion, Verdict, told_by, unscored

CAPABILITIES = ("rec", "ocr", "know", "gen", "spat", "math")
SPLITS = ("test",)
TEMPERATURES = (0.0, 0.0, 0.5, 1.0, 1.5)
AGAIN = "\nPredict the correctness of the answer (digit): "
PARAMETERS = {"max_tokens": 3}
ONLY = "score_only_"

PROTOCOL = {
    "decoding": "generation",
    "prompt": "the bare question",
    "scoring": "grade 0..1 by a judge after the official prompt, one run; the mean is the official figure / 100",
}


def read_grade(reply: str) -> float | None:
    """The grade that *reply* is up to its first space, or None."""
    try:
        grade = float(reply.split(" ")[0])
    except ValueError:
        return None
    return grade if 0 <= grade <= 1 else None


def set_name(category: str) -> str:
    """The metric of the questions that need exactly the capabilities of *category*."""
    return ONLY + category.replace(",", "_")


class MmVet:
    """category: the capabilities with commas between, in the order of CAPABILITIES; subset: one of them.

    MMVET itself has no grades and scores nothing; `judged` gives the form that does.
    """

    name = "mmvet"
    version = 2
    metric = "score"
    max_new_tokens = 1024
    lettered = False
    needs_judge = True

    def __init__(self, grades: Mapping[tuple[str, str], float] | None = None, sets: Iterable[str] = ()):
        self.grades = grades or {}
        named = (set_name(category) for category in sorted(sets))
        self.metrics: tuple[str, ...] = ("score", *(f"score_{name}" for name in CAPABILITIES), *named)
        self.protocol: Mapping[str, str] = PROTOCOL

    def examples(self, root: Path, split: str, subset: str | None = None) -> list[Example]:
        check_subset(self.name, subset, CAPABILITIES)
        if split not in SPLITS:
            raise DataError(f"mmvet: split {split!r} is unknown; it has {', '.join(SPLITS)}")
        path = root / "mm-vet.json"
        rows = read_json(path)
        if not isinstance(rows, dict):
            raise DataError(f"{path}: {type(rows).__name__}; allowed is an object of questions by id")
        examples = [_example(name, row, f"{path}: {name}") for name, row in rows.items()]
        return [example for example in examples if subset is None or subset in example.category.split(",")]

    def questions(self, answered: Iterable[tuple[Example, str]], prompt: JudgePrompt) -> list[JudgeQuestion]:
        """What the judge is asked about each (example, answer)."""
        return [
            JudgeQuestion(example.id, _asked(prompt.text, example, answer), answer, PARAMETERS, TEMPERATURES, AGAIN)
            for example, answer in answered
        ]

    def read(self, reply: str) -> float | None:
        return read_grade(reply)

    def judged(self, answered: Iterable[tuple[Example, str]], verdicts: Mapping[str, Verdict], sha256: str) -> MmVet:
        """The form that scores the (example, answer) by the verdicts of their ids; DataError where one has none.

        sha256: of the prompt that the judge read.
        """
        pairs = list(answered)
        if why := unscored(verdicts, [example.id for example, _ in pairs]):
            raise DataError(f"mmvet: {why}")
        grades = {(example.id, answer): verdicts[example.id].value for example, answer in pairs}
        form = MmVet({key: grade for key, grade in grades.items() if grade is not None}, _sets(pairs))
        form.protocol = {**PROTOCOL, **told_by(verdicts), "judge prompt": f"sha256 {sha256}"}
        return form

    def outcome(self, example: Example, answer: str) -> dict[str, float]:
        """Raises DataError without a grade for this answer: no grade is no zero."""
        if (example.id, answer) not in self.grades:
            raise DataError(f"mmvet: {example.id}: not scored: this answer has no judge's grade; ask a judge first")
        needed = example.category.split(",")
        return {
            "correct": self.grades[example.id, answer],
            "parsed": float(bool(answer.strip())),
            **{name: float(name in needed) for name in CAPABILITIES},
        }

    def measure(self, name: str, outcomes: Outcomes, weights: Array) -> Array:
        if name == "score":
            return share(weights, outcomes["correct"])
        whole = _whole(outcomes, name) if name.startswith(ONLY) else outcomes[name.removeprefix("score_")]
        return share(weights, outcomes["correct"] * whole, whole)


def _asked(prompt: str, example: Example, answer: str) -> str:
    truth = example.target.replace("<AND>", " <AND> ").replace("<OR>", " <OR> ")
    return f"{prompt}\n\n{example.question} | {truth} | {answer} | "


def _sets(pairs: Iterable[tuple[Example, str]]) -> set[str]:
    return {example.category for example, _ in pairs}


def _whole(outcomes: Outcomes, name: str) -> Array:
    """1.0 for the questions that need exactly the capabilities that *name*, of set_name, tells."""
    needed = name.removeprefix(ONLY).split("_")
    exact = [outcomes[name] == float(name in needed) for name in CAPABILITIES]
    whole: Array = (sum(1.0 * match for match in exact) == len(CAPABILITIES)) * 1.0
    return whole


def _example(name: str, row: Any, where: str) -> Example:
    needed = field(row, "capability", where)
    unknown = [one for one in needed if one not in CAPABILITIES]
    if unknown or not needed:
        found = ", ".join(map(repr, unknown)) or "none"
        close = nearest(str(unknown[0]), CAPABILITIES) if unknown else ""
        raise DataError(f"{where}: capability {found}; allowed are {', '.join(CAPABILITIES)}{close}")
    question, answer = field(row, "question", where), str(field(row, "answer", where))
    return Example(
        id=name,
        image=f"images/{field(row, 'imagename', where)}",
        prompt=question.strip(),
        target=answer,
        answers=(answer,),
        question=question,
        category=",".join(one for one in CAPABILITIES if one in needed),
    )


MMVET = MmVet()
