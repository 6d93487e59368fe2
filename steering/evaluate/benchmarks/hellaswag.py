"""How does it go on? HellaSwag's four endings, weighed by log-likelihood as lm-evaluation-harness does.

Files: hellaswag_<split>.jsonl, JSON lines {"activity_label", "ctx_a", "ctx_b", "endings"[4], "label", "split_type"}.
Query (confirmed: the harness's hellaswag/utils.py): "<activity_label>: <ctx_a> <ctx_b capitalised>"; query and endings
are stripped, " [title]" becomes ". ", other brackets go, then double blanks become one. Shots, if any, stand before the
query with a blank line between; question number n gets the n-th draw from train of Random(1234), the harness's on one
device (confirmed: its samplers.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from steering.errors import DataError
from steering.evaluate.benchmarks.form import (
    LETTERS,
    Array,
    Example,
    Outcomes,
    check_subset,
    field,
    flags,
    parse_json,
    read_text,
    share,
)
from steering.evaluate.likelihood import DELIMITER, SHOT_DELIMITER, Request, likelihood_outcome

CATEGORIES = ("indomain", "zeroshot")
ENDINGS = 4
SHOTS_SEED = 1234
BRACKETS = re.compile(r"\[.*?\]")


def clean(text: str) -> str:
    """*text* without WikiHow's marks, by the harness's rule and in its order."""
    return BRACKETS.sub("", text.strip().replace(" [title]", ". ")).replace("  ", " ")


class HellaSwag:
    """subset: indomain or zeroshot (split_type), which are also the categories; None for all. Train gives the shots."""

    version = 1
    metric = "accuracy_norm"
    metrics: tuple[str, ...] = (
        "accuracy_norm",
        "accuracy",
        "accuracy_bytes",
        *(f"accuracy_norm_{category}" for category in CATEGORIES),
    )
    max_new_tokens = 0
    lettered = True
    protocol: Mapping[str, str]

    def __init__(self, name: str = "hellaswag", *, shots: int = 0):
        self.name, self.shots = name, shots
        self.protocol = {
            "decoding": "log-likelihood of each ending after the context, bare text, as lm-evaluation-harness",
            "shots": str(shots) + (f" from train, drawn by seed {SHOTS_SEED} in the file's order" if shots else ""),
            "prompt": "activity label, colon, ctx_a and ctx_b, brackets removed",
            "scoring": "accuracy_norm by characters of the ending, accuracy_bytes by UTF-8 bytes, accuracy by the sum",
        }

    def examples(self, root: Path, split: str, subset: str | None = None) -> list[Example]:
        check_subset(self.name, subset, CATEGORIES)
        examples = _examples(root, split)
        shown = self._shown(root, len(examples))
        asked = [_after(shots, example) for shots, example in zip(shown, examples, strict=True)]
        return [example for example in asked if subset in (None, example.category)]

    def request(self, example: Example) -> Request:
        return Request(example.prompt, tuple(DELIMITER + ending for ending in example.choices))

    def outcome(self, example: Example, answer: str) -> dict[str, float]:
        return likelihood_outcome(example, answer, example.choices) | flags(example.category, CATEGORIES)

    def measure(self, name: str, outcomes: Outcomes, weights: Array) -> Array:
        category = name.removeprefix("accuracy_norm_")
        if category in CATEGORIES:
            whole = outcomes[category]
            return share(weights, outcomes["correct_norm"] * whole, whole)
        column = {"accuracy": "correct", "accuracy_norm": "correct_norm", "accuracy_bytes": "correct_bytes"}[name]
        return share(weights, outcomes[column])

    def _shown(self, root: Path, questions: int) -> list[Sequence[Example]]:
        """The shots of each of so many questions; drawn for all, so that a subset is asked like the whole."""
        if not self.shots:
            return [()] * questions
        train, random = _examples(root, "train"), Random(SHOTS_SEED)
        if len(train) < self.shots:
            raise DataError(f"{_path(root, 'train')}: {len(train)} rows; {self.shots} shots need as many")
        return [random.sample(train, self.shots) for _ in range(questions)]


def _path(root: Path, split: str) -> Path:
    return root / f"hellaswag_{split}.jsonl"


def _after(shots: Sequence[Example], example: Example) -> Example:
    if not shots:
        return example
    told = [shot.prompt + DELIMITER + shot.choices[LETTERS.index(shot.target)] for shot in shots]
    return Example(**{**vars(example), "prompt": SHOT_DELIMITER.join([*told, example.prompt])})


def _examples(root: Path, split: str) -> list[Example]:
    path = _path(root, split)
    lines = read_text(path).split("\n")
    return [_example(line, n, f"{path}:{n}") for n, line in enumerate(lines, start=1) if line.strip()]


def _example(line: str, number: int, where: str) -> Example:
    row = parse_json(line, where)
    before, after = field(row, "ctx_a", where), field(row, "ctx_b", where)
    query = clean(f"{field(row, 'activity_label', where)}: {before} {after.capitalize()}")
    endings = tuple(clean(ending) for ending in field(row, "endings", where))
    if len(endings) != ENDINGS:
        raise DataError(f"{where}: {len(endings)} endings; allowed are {ENDINGS}")
    letter = _letter(field(row, "label", where), where)
    return Example(str(number), None, query, letter, (letter,), endings, query, str(row.get("split_type", "")))


def _letter(label: Any, where: str) -> str:
    """The letter of the right ending; the test split has no labels, and the hub's copies spell them as text."""
    if str(label) in tuple("0123"):
        return LETTERS[int(label)]
    raise DataError(f"{where}: label {label!r}; allowed are 0, 1, 2, 3")


HELLASWAG = HellaSwag()
HELLASWAG_10_SHOT = HellaSwag("hellaswag_10_shot", shots=10)
