"""Four-way questions without a picture in the MMLU format, by generating a letter or by weighing the four letters.

Files: <split>/<subject>_<split>.csv without header: question, A, B, C, D, answer letter (Hendrycks et al. 2021).
MMLU: generation, no shots; the answer's first letter counts where it stands alone ("B", "B.", "(B)", "B: x"), and
anything else is unparsed and wrong. MMLU_LIKELIHOOD: lm-evaluation-harness's mmlu task (confirmed: its
_default_template_yaml and the subjects' files), the log-likelihoods of " A" to " D" after the header, the subject's
first 5 questions of dev with their letters, and the question. Two protocols, two numbers: they are not to be compared.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path

from steering.errors import DataError
from steering.evaluate.benchmarks.form import (
    LETTER_ANSWER,
    Array,
    Example,
    Outcomes,
    check_subset,
    lettered_options,
    read_text,
    share,
)
from steering.evaluate.likelihood import DELIMITER, SHOT_DELIMITER, Request, likelihood_outcome

COLUMNS = 6
OPTIONS = "ABCD"
HEADER = "The following are multiple choice questions (with answers) about {subject}."
# A blank and a word after the letter may be the article of a sentence ("A dog"), so it is not taken.
FIRST_LETTER = re.compile(r"\(?([A-D])(?:[).:,\n]|\s*$)")


def read_first_letter(answer: str) -> str | None:
    """The option letter that opens *answer*, or None."""
    found = FIRST_LETTER.match(answer.strip())
    return found.group(1) if found else None


PROTOCOL = {
    "decoding": "generation",
    "shots": "0",
    "prompt": f"question, lettered options, then: {LETTER_ANSWER}",
    "scoring": "the answer's first letter where it stands alone; else unparsed and wrong",
}


class Mmlu:
    """subset: one subject, which is also the category; None for all."""

    name = "mmlu"
    version = 1
    metric = "accuracy"
    metrics: tuple[str, ...] = ("accuracy",)
    max_new_tokens = 16
    lettered = True
    protocol: Mapping[str, str] = PROTOCOL

    def examples(self, root: Path, split: str, subset: str | None = None) -> list[Example]:
        paths = _paths(self.name, root, split, subset)
        return [example for subject in sorted(paths) for example in _examples(paths[subject], subject)]

    def outcome(self, example: Example, answer: str) -> dict[str, float]:
        letter = read_first_letter(answer)
        return {"correct": float(letter == example.target), "parsed": float(letter is not None)}

    def measure(self, name: str, outcomes: Outcomes, weights: Array) -> Array:
        return {"accuracy": share}[name](weights, outcomes["correct"])


class MmluLikelihood:
    """subset and category: as Mmlu's. Questions lose the blanks at their ends and options keep theirs (the harness)."""

    version = 1
    metric = "accuracy"
    metrics: tuple[str, ...] = ("accuracy",)
    max_new_tokens = 0
    lettered = True
    protocol: Mapping[str, str]

    def __init__(self, name: str = "mmlu_likelihood", *, shots: int = 5):
        self.name, self.shots = name, shots
        self.protocol = {
            "decoding": "log-likelihood of each letter after the context, bare text, as lm-evaluation-harness",
            "shots": f"{shots}, the first of the subject's dev questions",
            "prompt": f"{HEADER} then shots and question, each: question, lettered options, Answer:",
            "scoring": "the letter of the greatest log-likelihood",
        }

    def examples(self, root: Path, split: str, subset: str | None = None) -> list[Example]:
        paths = _paths(self.name, root, split, subset)
        dev = _paths(self.name, root, "dev", None) if self.shots else {}
        return [one for subject in sorted(paths) for one in self._subject(paths[subject], subject, dev.get(subject))]

    def request(self, example: Example) -> Request:
        return Request(example.prompt, tuple(DELIMITER + letter for letter in OPTIONS))

    def outcome(self, example: Example, answer: str) -> dict[str, float]:
        return likelihood_outcome(example, answer, OPTIONS)

    def measure(self, name: str, outcomes: Outcomes, weights: Array) -> Array:
        return {"accuracy": share}[name](weights, outcomes["correct"])

    def _subject(self, path: Path, subject: str, dev: Path | None) -> list[Example]:
        before = _header(subject) + "".join(self._told(subject, dev, path))
        rows = enumerate(_rows(path), start=1)
        return [_weighed(row, subject, n, f"{path}: row {n}", before) for n, row in rows if row]

    def _told(self, subject: str, dev: Path | None, path: Path) -> list[str]:
        """The shots of *subject*, each with its letter and the blank line after it."""
        if not self.shots:
            return []
        if dev is None:
            raise DataError(f"{path}: {subject}_dev.csv is missing; {self.shots} shots are taken from dev")
        rows = [(n, row) for n, row in enumerate(_rows(dev), start=1) if row][: self.shots]
        if len(rows) < self.shots:
            raise DataError(f"{dev}: {len(rows)} rows; {self.shots} shots need as many")
        shots = [_weighed(row, subject, n, f"{dev}: row {n}", "") for n, row in rows]
        return [shot.prompt + DELIMITER + shot.target + SHOT_DELIMITER for shot in shots]


def _header(subject: str) -> str:
    return HEADER.format(subject=subject.replace("_", " ")) + SHOT_DELIMITER


def _paths(name: str, root: Path, split: str, subset: str | None) -> dict[str, Path]:
    """The file of each subject of *split*, or of the one that is *subset*."""
    paths = {path.name.removesuffix(f"_{split}.csv"): path for path in (root / split).glob(f"*_{split}.csv")}
    if not paths:
        raise DataError(f"{root / split}: no files *_{split}.csv; prepare the data set first")
    check_subset(name, subset, paths)
    return paths if subset is None else {subset: paths[subset]}


def _rows(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(read_text(path))))


def _examples(path: Path, subject: str) -> list[Example]:
    return [_example(row, subject, n, f"{path}: row {n}") for n, row in enumerate(_rows(path), start=1) if row]


def _example(row: list[str], subject: str, number: int, where: str) -> Example:
    letter = _letter(row, where)
    question, *choices = (cell.strip() for cell in row[:-1])
    prompt = f"{question}\n{lettered_options(choices)}\n{LETTER_ANSWER}"
    return Example(f"{subject}/{number}", None, prompt, letter, (letter,), tuple(choices), question, subject)


def _weighed(row: list[str], subject: str, number: int, where: str, before: str) -> Example:
    """The example of the log-likelihood protocol, whose prompt is the whole context."""
    letter = _letter(row, where)
    question, *choices = row[0].strip(), *row[1:-1]
    prompt = f"{before}{question}\n{lettered_options(choices)}\nAnswer:"
    return Example(f"{subject}/{number}", None, prompt, letter, (letter,), tuple(choices), question, subject)


def _letter(row: list[str], where: str) -> str:
    if len(row) != COLUMNS:
        raise DataError(f"{where}: {len(row)} columns; allowed are {COLUMNS}: question, A, B, C, D, answer")
    letter = row[-1].strip()
    if letter not in tuple(OPTIONS):
        raise DataError(f"{where}: answer {letter!r}; allowed are {', '.join(OPTIONS)}")
    return letter


MMLU = Mmlu()
MMLU_LIKELIHOOD = MmluLikelihood()
