"""What every benchmark form gives (Form), what it asks (Example), and the few pieces that forms share.

A metric is a function of per-question outcomes and of weights, so that a bootstrap is a matrix of weights:
value = share of weight that lies on the right questions, taken along the last axis.
"""

from __future__ import annotations

import json
import string
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from steering.errors import DataError, nearest

Array = NDArray[np.float64]
Outcomes = Mapping[str, Array]

LETTERS = string.ascii_uppercase
SHORT_ANSWER = "Answer the question using a single word or phrase."
LETTER_ANSWER = "Answer with the option's letter from the given choices directly."
FILL_BLANK = "Fill in the blanks in (_) or answer this question"
CHOOSE_OPTION = "Choose an option from the choices to answer the question."
INSTRUCTIONS = (SHORT_ANSWER, LETTER_ANSWER, FILL_BLANK, CHOOSE_OPTION)


@dataclass(frozen=True)
class Example:
    """One question of a benchmark.

    image: name of the picture in the data set's archive, None without a picture; prompt: what the user says,
    without the picture's placeholder; target: the answer to teach; answers: all accepted references;
    question: the bare question, which is all that a blind guesser may use.
    """

    id: str
    image: str | None
    prompt: str
    target: str
    answers: tuple[str, ...]
    choices: tuple[str, ...] = ()
    question: str = ""
    category: str = ""


def without_instruction(example: Example) -> Example:
    """*example* asked bare, without the official sentence on how to answer: fewer tokens, another protocol."""
    for instruction in INSTRUCTIONS:
        if example.prompt.endswith(instruction):
            return replace(example, prompt=example.prompt.removesuffix(instruction).rstrip())
    return example


class Form(Protocol):
    """One official file format with its prompt and its scoring rule.

    version is raised whenever a score would change; metric, one of metrics, goes into the table; lettered tells that
    target and answers name a choice by its letter; protocol holds the facts that a number must be read with.
    """

    name: str
    version: int
    metric: str
    metrics: tuple[str, ...]
    max_new_tokens: int
    lettered: bool
    protocol: Mapping[str, str]

    def examples(self, root: Path, split: str, subset: str | None = None) -> list[Example]:
        """The questions of *split* under *root*; raises DataError for a missing or malformed file."""
        ...

    def outcome(self, example: Example, answer: str) -> dict[str, float]:
        """Numbers about one answer, always with correct (0..1) and parsed (0 or 1)."""
        ...

    def measure(self, name: str, outcomes: Outcomes, weights: Array) -> Array:
        """Metric *name* in 0..1 of outcomes (n,) under weights (..., n) -> (...); nan where it is undefined."""
        ...


@runtime_checkable
class ClusteredForm(Protocol):
    """A form whose questions hang together over several pictures."""

    def cluster(self, example: Example) -> str:
        """What has to be resampled whole."""
        ...


@runtime_checkable
class PointsForm(Protocol):
    """A form with metrics that go beyond 1, as sums do."""

    def top(self, metric: str) -> float:
        """The most that *metric* can be."""
        ...


def share(weights: Array, part: Array, whole: Array | None = None) -> Array:
    """Weight (..., n) on *part* (n,) over weight on *whole* (n,), all questions by default -> (...); nan for 0 / 0."""
    total = weights.sum(axis=-1) if whole is None else weights @ whole
    return ratio(weights @ part, total)


def ratio(above: Array, below: Array) -> Array:
    """above / below, elementwise; nan where below is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.asarray(below) > 0, np.divide(above, below), np.nan)


def flags(category: str, known: Sequence[str]) -> dict[str, float]:
    """{name: 1.0 or 0.0} that tells which of the *known* categories a question belongs to."""
    return {name: float(category == name) for name in known}


def lettered_options(choices: Sequence[str]) -> str:
    """The choices as lines "A. x", "B. y"."""
    return "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False))


def check_subset(form: str, subset: str | None, allowed: Collection[str]) -> None:
    """Raise DataError unless *subset* is None or one of *allowed*."""
    if subset is None or subset in allowed:
        return
    names = ", ".join(sorted(allowed))
    raise DataError(f"{form}: subset {subset!r} is unknown; it has {names}{nearest(subset, allowed)}")


def read_text(path: Path) -> str:
    """The text of a benchmark's file; raises DataError where it is missing or not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path}: not found; prepare the data set first") from None
    except UnicodeDecodeError as fault:
        raise DataError(f"{path}: byte {fault.start} is not UTF-8; the official files are") from None


def parse_json(text: str, where: str) -> Any:
    """The value that *text* spells; raises DataError with *where* and the line for broken JSON."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as fault:
        raise DataError(f"{where}: line {fault.lineno}: broken JSON: {fault.msg}") from None


def read_json(path: Path) -> Any:
    """The JSON value in *path*; raises DataError."""
    return parse_json(read_text(path), str(path))


def field(row: Any, name: str, where: str) -> Any:
    """row[name]; raises DataError that names the fields there are."""
    if isinstance(row, dict) and name in row:
        return row[name]
    found = ", ".join(map(str, row)) if isinstance(row, dict) else repr(row)[:80]
    raise DataError(f"{where}: field {name!r} is missing; found {found}")


def split_ids(root: Path, split: str) -> list[str]:
    """The ids of *split* in root/pid_splits.json (ScienceQA and IconQA share this shape); raises DataError."""
    path = root / "pid_splits.json"
    return [str(pid) for pid in field(read_json(path), split, str(path))]
