"""Four-way questions without a picture in the MMLU format, answered by generating a letter.

Files: <split>/<subject>_<split>.csv without header: question, A, B, C, D, answer letter (Hendrycks et al. 2021).
Protocol: generation, no shots; the answer's first letter counts where it stands alone ("B", "B.", "(B)", "B: x"), and
anything else is unparsed and wrong. It is not the log-likelihood protocol of lm-evaluation-harness.
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

COLUMNS = 6
OPTIONS = "ABCD"
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
        paths = {path.name.removesuffix(f"_{split}.csv"): path for path in (root / split).glob(f"*_{split}.csv")}
        if not paths:
            raise DataError(f"{root / split}: no files *_{split}.csv; prepare the data set first")
        check_subset(self.name, subset, paths)
        kept = sorted(paths) if subset is None else [subset]
        return [example for subject in kept for example in _examples(paths[subject], subject)]

    def outcome(self, example: Example, answer: str) -> dict[str, float]:
        letter = read_first_letter(answer)
        return {"correct": float(letter == example.target), "parsed": float(letter is not None)}

    def measure(self, name: str, outcomes: Outcomes, weights: Array) -> Array:
        return {"accuracy": share}[name](weights, outcomes["correct"])


def _examples(path: Path, subject: str) -> list[Example]:
    rows = csv.reader(io.StringIO(read_text(path)))
    return [_example(row, subject, n, f"{path}: row {n}") for n, row in enumerate(rows, start=1) if row]


def _example(row: list[str], subject: str, number: int, where: str) -> Example:
    if len(row) != COLUMNS:
        raise DataError(f"{where}: {len(row)} columns; allowed are {COLUMNS}: question, A, B, C, D, answer")
    question, *choices, letter = (cell.strip() for cell in row)
    if letter not in tuple(OPTIONS):
        raise DataError(f"{where}: answer {letter!r}; allowed are {', '.join(OPTIONS)}")
    prompt = f"{question}\n{lettered_options(choices)}\n{LETTER_ANSWER}"
    return Example(f"{subject}/{number}", None, prompt, letter, (letter,), tuple(choices), question, subject)


MMLU = Mmlu()
