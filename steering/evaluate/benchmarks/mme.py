"""Perception and cognition in 14 tasks of yes/no questions, two about each picture, in the MME format.

Files: <split>/<task>.txt, lines "picture, question, Yes or No" parted by tabs, where a fourth column is a prediction
and is ignored; the two questions of a picture stand in neighbouring lines. A picture is named <task>/<picture>.
Scoring (confirmed: MME's calculation.py, on the stripped answer): yes or no is read from the first 4 letters, lower
case, yes before no; else "other", which is wrong. acc = share of right questions, acc_plus = share of pictures with
both right, score = acc + acc_plus; perception and cognition = sums of the scores of 10 and 4 tasks. All are shares and
sums of shares: times 100 they are the official numbers (at most 200 a task, 2,000 and 800). A sum is undefined where
one of its tasks was not asked. LLaVA's convert_answer_to_mme.py puts "Please answer yes or no." back behind each
question, so its prompts lack it.

Groups under weights: outcomes tell the pair a question belongs to by a number. A pair weighs the mean of its questions'
weights; both are about one picture, the unit that is resampled, so that they weigh the same. A pair that was not asked
whole counts in acc and not in acc_plus: ask all questions for the official value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from steering.data.evaluation.mme import COGNITION, PER_PICTURE, PERCEPTION, TASKS
from steering.errors import DataError
from steering.evaluate.benchmarks.form import (
    SHORT_ANSWER,
    Array,
    Example,
    Outcomes,
    check_subset,
    read_text,
    share,
)

SUMS = {"perception": PERCEPTION, "cognition": COGNITION}
KINDS = ("acc", "acc_plus", "score")
COLUMNS = (3, 4)
LETTERS_READ = 4
ASKS_YES_NO = "Please answer yes or no."
PROTOCOL = {
    "decoding": "generation",
    "prompt": f"LLaVA: question without {ASKS_YES_NO!r}, then: {SHORT_ANSWER}",
    "scoring": "yes or no within the first 4 letters, yes before no; else unparsed and wrong; acc, acc_plus (both "
    "questions of a picture right) and their sum per task; sums over the 10 perception and the 4 cognition tasks, of "
    "shares: times 100 for the official points",
}


def read_prefix(answer: str) -> str | None:
    """ "yes" or "no" within the first letters of the stripped *answer*, or None."""
    start = answer.strip().lower()[:LETTERS_READ]
    return next((said for said in ("yes", "no") if said in start), None)


def group_number(name: str) -> float:
    """A whole number that stands for the group *name* among outcomes: 48 bits of its sha256, exact as a float."""
    return float(int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big"))


def share_of_groups(weights: Array, correct: Array, groups: Array, inside: Array) -> Array:
    """Weight (..., n) of the groups that are right throughout over that of all -> (...); nan without any.

    correct, groups, inside: (n,); a group is the questions of one number where inside is 1, and it weighs the mean of
    their weights. Under whole weights that are the same within a group this equals repeating groups as often.
    """
    chosen = np.flatnonzero(inside)
    _, index, size = np.unique(groups[chosen], return_inverse=True, return_counts=True)
    right = np.bincount(index, weights=correct[chosen], minlength=len(size)) == size
    part, whole = np.zeros(len(groups)), np.zeros(len(groups))
    whole[chosen] = 1 / size[index]
    part[chosen] = right[index] / size[index]
    return share(weights, part, whole)


class Mme:
    """subset: one task, which is also the category; None for all."""

    name = "mme"
    version = 1
    metric = "perception"
    metrics: tuple[str, ...] = (*SUMS, *(f"{kind}_{task}" for task in TASKS for kind in KINDS))
    max_new_tokens = 16
    lettered = False
    protocol: Mapping[str, str] = PROTOCOL

    def examples(self, root: Path, split: str, subset: str | None = None) -> list[Example]:
        check_subset(self.name, subset, TASKS)
        kept = TASKS if subset is None else (subset,)
        return [example for task in kept for example in _examples(root / split / f"{task}.txt", task)]

    def outcome(self, example: Example, answer: str) -> dict[str, float]:
        said = read_prefix(answer)
        return {
            "correct": float(said == example.target),
            "parsed": float(said is not None),
            "task": float(TASKS.index(example.category)),
            "pair": group_number(example.id.rpartition("/")[0]),
        }

    def top(self, metric: str) -> float:
        """2 for a task's score, as much for each task of a sum, else 1."""
        return 2.0 * len(SUMS[metric]) if metric in SUMS else 2.0 if metric.startswith("score_") else 1.0

    def measure(self, name: str, outcomes: Outcomes, weights: Array) -> Array:
        if name in SUMS:
            return np.sum([self.measure(f"score_{task}", outcomes, weights) for task in SUMS[name]], axis=0)
        kind, task = next((kind, task) for kind in KINDS for task in TASKS if name == f"{kind}_{task}")
        inside = (outcomes["task"] == TASKS.index(task)).astype(float)
        acc = share(weights, outcomes["correct"] * inside, inside)
        if kind == "acc":
            return acc
        plus = share_of_groups(weights, outcomes["correct"], outcomes["pair"], inside * _asked_whole(outcomes["pair"]))
        return plus if kind == "acc_plus" else acc + plus


def _asked_whole(pairs: Array) -> Array:
    """(n,) 1.0 where both questions of the pair are there."""
    _, index, size = np.unique(pairs, return_inverse=True, return_counts=True)
    return (size[index] == PER_PICTURE).astype(float)


def _examples(path: Path, task: str) -> list[Example]:
    lines = [(line, f"{path}:{n}") for n, line in enumerate(read_text(path).split("\n"), start=1) if line.strip()]
    examples = [_example(line, where, task, number) for number, (line, where) in enumerate(lines)]
    pictures = [example.image for example in examples]
    for first in range(0, len(pictures), PER_PICTURE):
        pair = pictures[first : first + PER_PICTURE]
        if len(pair) < PER_PICTURE or pair[0] != pair[1]:
            raise DataError(f"{lines[first][1]}: {pair[0]} has no second question in the next line; a picture has two")
    return examples


def _example(line: str, where: str, task: str, number: int) -> Example:
    cells = line.rstrip("\r").split("\t")
    if len(cells) not in COLUMNS:
        raise DataError(f"{where}: {len(cells)} columns; allowed are 3 or 4: picture, question, Yes or No, prediction")
    image, question, truth = (cell.strip() for cell in cells[:3])
    if truth.lower() not in ("yes", "no"):
        raise DataError(f"{where}: answer {truth!r}; allowed are Yes and No")
    pair, second = divmod(number, PER_PICTURE)
    return Example(
        id=f"{task}/{pair + 1}/{second + 1}",
        image=f"{task}/{image}",
        prompt=f"{question.removesuffix(ASKS_YES_NO).strip()}\n{SHORT_ANSWER}",
        target=truth.lower(),
        answers=(truth.lower(),),
        question=question,
        category=task,
    )


MME = Mme()
