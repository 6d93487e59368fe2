"""Questions about icons in the IconQA format: fill in a blank, or choose one of several texts.

Files: problems.json {pid: {"question", "choices", "answer", "ques_type"}} and pid_splits.json; the picture of a
problem is iconqa/<split>/<ques_type>/<pid>/image.png. Prompts are MoReS's. Scoring is IconQA's and MoReS's exact
match after strip, case sensitive. A choose_txt answer is an index in the file; here its text is taught, and text
and index both count as right - the index not where it is also the text of a choice, for then it says that choice.
ICONQA_INDEX keeps the index as the one answer, taught and accepted, as MoReS does with the official files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from steering.errors import DataError
from steering.evaluate.benchmarks.form import (
    CHOOSE_OPTION,
    FILL_BLANK,
    Array,
    Example,
    Outcomes,
    check_subset,
    field,
    read_json,
    share,
    split_ids,
)

TYPES = ("fill_in_blank", "choose_txt")

PROTOCOL = {
    "decoding": "generation",
    "prompt": "MoReS: choices listed in the sentence / fill in the blanks in (_)",
    "scoring": "exact match after strip, case sensitive; choose_txt takes the option's text or its index; an answer "
    "that is empty, or that is none of the options, is unparsed",
}


class IconQa:
    """subset: fill_in_blank or choose_txt, which are also the categories; None for both (choose_img is left out)."""

    name = "iconqa"
    version = 1
    metric = "accuracy"
    metrics: tuple[str, ...] = ("accuracy",)
    max_new_tokens = 16
    lettered = False
    protocol: Mapping[str, str] = PROTOCOL

    def examples(self, root: Path, split: str, subset: str | None = None) -> list[Example]:
        check_subset(self.name, subset, TYPES)
        kept = TYPES if subset is None else (subset,)
        path = root / "problems.json"
        problems = read_json(path)
        rows = [(pid, field(problems, pid, str(path))) for pid in split_ids(root, split)]
        wanted = [(pid, row) for pid, row in rows if field(row, "ques_type", f"{path}: {pid}") in kept]
        return [self._example(pid, row, split, f"{path}: {pid}") for pid, row in wanted]

    def outcome(self, example: Example, answer: str) -> dict[str, float]:
        said = answer.strip()
        return {"correct": float(said in example.answers), "parsed": float(_parsed(example, said))}

    def measure(self, name: str, outcomes: Outcomes, weights: Array) -> Array:
        return {"accuracy": share}[name](weights, outcomes["correct"])

    def _example(self, pid: str, row: Any, split: str, where: str) -> Example:
        return _example(pid, row, split, where)


class IconQaIndex(IconQa):
    """IconQa with the index of the right choice as the only answer; "2" is right, the choice's text is not.

    Its examples are open questions: the index is no text of a choice, so choices are told by the prompt alone.
    """

    name = "iconqa_index"
    protocol: Mapping[str, str] = PROTOCOL | {
        "scoring": "exact match after strip, case sensitive; the answer to choose_txt is the option's index, from 0, "
        "as in the official file; an empty answer is unparsed",
    }

    def _example(self, pid: str, row: Any, split: str, where: str) -> Example:
        example = _example(pid, row, split, where)
        index = str(row["answer"]).strip()
        return replace(example, target=index, answers=(index,), choices=())


def _parsed(example: Example, said: str) -> bool:
    if not example.choices:
        return bool(said)
    indices = (str(i) for i in range(len(example.choices)))
    return said in example.answers or said in (choice.strip() for choice in example.choices) or said in indices


def _example(pid: str, row: Any, split: str, where: str) -> Example:
    question, kind = field(row, "question", where).strip(), row["ques_type"]
    picture = f"iconqa/{split}/{kind}/{pid}/image.png"
    answer = str(field(row, "answer", where)).strip()
    if kind == "fill_in_blank":
        prompt = f"{question} {FILL_BLANK}"
        return Example(pid, picture, prompt, answer, (answer,), question=question, category=kind)
    choices = tuple(str(choice) for choice in field(row, "choices", where))
    prompt = f"{question} Choices: {', '.join(choices)}. {CHOOSE_OPTION}"
    target = _chosen(answer, choices, where)
    return Example(pid, picture, prompt, target, _accepted(answer, target, choices), choices, question, kind)


def _chosen(answer: str, choices: tuple[str, ...], where: str) -> str:
    if not answer.isdecimal() or int(answer) >= len(choices):
        raise DataError(f"{where}: answer {answer!r}; allowed is an index below {len(choices)}")
    return choices[int(answer)].strip()


def _accepted(index: str, target: str, choices: tuple[str, ...]) -> tuple[str, ...]:
    return (target,) if index in (choice.strip() for choice in choices) else (target, index)


ICONQA = IconQa()
ICONQA_INDEX = IconQaIndex()
