"""Multiple choice with or without a picture, in the ScienceQA format.

Files: problems.json {pid: {"question", "choices", "answer": int, "hint", "image": name or null, ...}} and
pid_splits.json; the picture of a problem is images/<split>/<pid>/image.png. Prompt: LLaVA's llava_test_CQM-A.json
with --single-pred-prompt. Reading an answer (confirmed: TinyLLaVA's eval_science_qa.py, which is LLaVA's of its
version 1.5; on the stripped answer): the letter alone, or the letter and ". ", or exactly one "The answer is X."; else
it is unparsed, which is wrong. A letter beyond the choices names none of them and is unparsed too.
SCIENCEQA_LLAVA takes prompts and pictures from llava_<split>_CQM-A.json [{"id", "image"?, "conversations"}] beside
those files; its accuracy_image is the official ScienceQA-IMG.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from steering.errors import DataError
from steering.evaluate.benchmarks.form import (
    LETTER_ANSWER,
    LETTERS,
    Array,
    Example,
    Outcomes,
    check_subset,
    field,
    flags,
    lettered_options,
    read_json,
    share,
    split_ids,
)

CATEGORIES = ("image", "text")
OFFICIAL_OPTIONS = 5
# The unescaped stop is the official pattern: any character may follow the letter, but one must.
ANSWER_IS = re.compile(r"The answer is ([A-Z]).")


def read_letter(answer: str, choices: int) -> str | None:
    """The letter of one of *choices* options that *answer* names, or None."""
    said = _named(answer.strip(), LETTERS[: max(choices, OFFICIAL_OPTIONS)])
    return said if said is not None and said in LETTERS[:choices] else None


def _named(text: str, options: str) -> str | None:
    if text[:1] and text[0] in options and (len(text) == 1 or text[1:3] == ". "):
        return text[0]
    found = ANSWER_IS.findall(text)
    return found[0] if len(found) == 1 else None


PROTOCOL = {
    "decoding": "generation",
    "prompt": f"LLaVA single-pred: context, question, lettered options, then: {LETTER_ANSWER}",
    "scoring": 'the letter, or the letter and ". ", or one "The answer is X."; else unparsed and wrong',
}


class ScienceQa:
    """subset: image or text (with or without a picture), which are also the categories; None for both."""

    name = "scienceqa"
    version = 1
    metric = "accuracy"
    metrics: tuple[str, ...] = ("accuracy", "accuracy_image", "accuracy_text")
    max_new_tokens = 16
    lettered = True
    protocol: Mapping[str, str] = PROTOCOL

    def examples(self, root: Path, split: str, subset: str | None = None) -> list[Example]:
        check_subset(self.name, subset, CATEGORIES)
        path = root / "problems.json"
        problems = read_json(path)
        rows = [(pid, field(problems, pid, str(path))) for pid in split_ids(root, split)]
        examples = [_example(pid, row, split, f"{path}: {pid}") for pid, row in rows]
        return [example for example in examples if subset in (None, example.category)]

    def outcome(self, example: Example, answer: str) -> dict[str, float]:
        letter = read_letter(answer, len(example.choices))
        parsed, correct = float(letter is not None), float(letter == example.target)
        return {"correct": correct, "parsed": parsed, **flags(example.category, CATEGORIES)}

    def measure(self, name: str, outcomes: Outcomes, weights: Array) -> Array:
        whole = {"accuracy": None, "accuracy_image": outcomes["image"], "accuracy_text": outcomes["text"]}[name]
        correct = outcomes["correct"]
        return share(weights, correct if whole is None else correct * whole, whole)


class ScienceQaLlava(ScienceQa):
    """ScienceQa asked in LLaVA's own words; every id of the split has to be among them, for a missing one is wrong."""

    name = "scienceqa_llava"
    protocol: Mapping[str, str] = PROTOCOL | {
        "prompt": f"llava_<split>_CQM-A.json without <image>, then: {LETTER_ANSWER}",
    }

    def examples(self, root: Path, split: str, subset: str | None = None) -> list[Example]:
        check_subset(self.name, subset, CATEGORIES)
        path = root / f"llava_{split}_CQM-A.json"
        asked = {str(field(row, "id", str(path))): row for row in read_json(path)}
        plain = super().examples(root, split)
        missing = [example.id for example in plain if example.id not in asked]
        if missing:
            raise DataError(
                f"{path}: {len(missing)} questions of {split} are missing, first {missing[0]}; it takes all"
            )
        examples = [_worded(example, asked[example.id], split, f"{path}: {example.id}") for example in plain]
        return [example for example in examples if subset in (None, example.category)]


def _worded(example: Example, row: Any, split: str, where: str) -> Example:
    """*example* with the prompt and the picture of LLaVA's *row*; as LLaVA asks, the first message alone."""
    turns = field(row, "conversations", where)
    if not (isinstance(turns, list) and turns):
        raise DataError(f"{where}: no conversation; it takes a question")
    text = field(turns[0], "value", where).replace("<image>", "").strip()
    name = row.get("image")
    return replace(
        example,
        prompt=f"{text}\n{LETTER_ANSWER}",
        image=f"images/{split}/{name}" if name else None,
        category="image" if name else "text",
    )


def _example(pid: str, row: Any, split: str, where: str) -> Example:
    question, hint = field(row, "question", where).strip(), (row.get("hint") or "").strip()
    choices = tuple(str(choice) for choice in field(row, "choices", where))
    letter = _letter(field(row, "answer", where), choices, where)
    context = f"Context: {hint}\n" if hint else ""
    has_picture = bool(field(row, "image", where))
    return Example(
        id=pid,
        image=f"images/{split}/{pid}/image.png" if has_picture else None,
        prompt=f"{context}{question}\n{lettered_options(choices)}\n{LETTER_ANSWER}",
        target=letter,
        answers=(letter,),
        choices=choices,
        question=question,
        category="image" if has_picture else "text",
    )


def _letter(answer: Any, choices: tuple[str, ...], where: str) -> str:
    if isinstance(answer, int) and 0 <= answer < min(len(choices), len(LETTERS)):
        return LETTERS[answer]
    raise DataError(f"{where}: answer {answer!r}; allowed is an index below {len(choices)}")


SCIENCEQA = ScienceQa()
SCIENCEQA_LLAVA = ScienceQaLlava()
