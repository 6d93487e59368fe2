"""Is an object in the picture? POPE's yes/no questions with random, popular and adversarial negatives.

Files: JSON lines {"question_id", "image", "text", "label"}; of POPE <split>/{random,popular,adversarial}.json, of
COCO_POPE the official coco_pope_{random,popular,adversarial}.json, in which random comes in two sizes.
Reading an answer (confirmed: POPE's evaluate.py and LLaVA's eval_pope.py; on the stripped answer): the first sentence,
commas removed; no if one of its words is No, not or no, else yes; words are parted by spaces alone. It departs from
them in one place: a first sentence without words counts as unparsed and wrong, where they read yes. yes_ratio is of the
predictions.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

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
    ratio,
    read_text,
    share,
)

CATEGORIES = ("random", "popular", "adversarial")
LABELS = ("yes", "no")
NO_WORDS = frozenset({"No", "not", "no"})


def read_yes_no(answer: str) -> str | None:
    """ "yes", "no", or None for an answer without words."""
    sentence = answer.strip().split(".")[0].replace(",", "")
    if not sentence.strip():
        return None
    return "no" if NO_WORDS.intersection(sentence.split(" ")) else "yes"


PROTOCOL = {
    "decoding": "generation",
    "prompt": f"question, then: {SHORT_ANSWER}",
    "scoring": "first sentence, commas removed, No/not/no as a word is no, else yes; empty is unparsed and wrong; "
    "yes_ratio is of the predictions",
}
COCO_PROTOCOL = PROTOCOL | {
    "files": "random: 2,910 lines (pinned by LLaVA, sha256 "
    "c16b65d2df6d70bb0814c8a4375833d39cdb09928fd936d3fc546491efa37f35) or 3,000 (POPE's head, sha256 "
    "ac25245170b975a5bdf9080b23fd431dfe6be458bc038259c1f4f09a6bef7994), n tells which; popular: 3,000, sha256 "
    "72c1a8ad45d0c13514f5f22598261df41d3b533854d29682e924db50ed8aa753; adversarial: 3,000, sha256 "
    "420b3407db1fa9f1187a805dca41cb7b97fd91504e6c2179706188c107fb8ef8",
    "means": "mean_ metrics are means of the three kinds, each weighing the same; those without mean_ are of all "
    "questions together",
}
MEASURES = ("accuracy", "precision", "recall", "f1", "yes_ratio")


class Pope:
    """subset: one of the three kinds of negatives, which are also the categories; None for all three.

    metrics: of all questions, accuracy also by category.
    """

    name = "pope"
    version = 2
    metric = "accuracy"
    metrics: tuple[str, ...] = (*MEASURES, *(f"accuracy_{category}" for category in CATEGORIES))
    max_new_tokens = 16
    lettered = False
    protocol: Mapping[str, str] = PROTOCOL

    def examples(self, root: Path, split: str, subset: str | None = None) -> list[Example]:
        check_subset(self.name, subset, CATEGORIES)
        kept = CATEGORIES if subset is None else (subset,)
        return [example for category in kept for example in _examples(self._path(root, split, category), category)]

    def outcome(self, example: Example, answer: str) -> dict[str, float]:
        said = read_yes_no(answer)
        return {
            "correct": float(said == example.target),
            "parsed": float(said is not None),
            "said_yes": float(said == "yes"),
            "is_yes": float(example.target == "yes"),
            **flags(example.category, CATEGORIES),
        }

    def measure(self, name: str, outcomes: Outcomes, weights: Array) -> Array:
        if name in MEASURES:
            return _measure(name, outcomes, weights, np.ones_like(outcomes["correct"]))
        if name.startswith("mean_"):
            values = [self.measure(f"{name.removeprefix('mean_')}_{one}", outcomes, weights) for one in CATEGORIES]
            return np.mean(values, axis=0)
        measure, category = name.rsplit("_", 1)
        return _measure(measure, outcomes, weights, outcomes[category])

    def _path(self, root: Path, split: str, category: str) -> Path:
        return root / split / f"{category}.json"


class CocoPope(Pope):
    """POPE on COCO val2014 in its official files; metrics also of each category, and their means over the three.

    The questions have one split, test.
    """

    name = "coco_pope"
    metric = "mean_f1"
    metrics: tuple[str, ...] = (
        *MEASURES,
        *(f"{measure}_{category}" for measure in MEASURES for category in CATEGORIES),
        *(f"mean_{measure}" for measure in MEASURES),
    )
    protocol: Mapping[str, str] = COCO_PROTOCOL

    def _path(self, root: Path, split: str, category: str) -> Path:
        if split != "test":
            raise DataError(f"{self.name}: split {split!r} is unknown; it has test")
        return root / f"coco_pope_{category}.json"


def _measure(name: str, outcomes: Outcomes, weights: Array, inside: Array) -> Array:
    """The measure of the questions where *inside* (n,) is 1."""
    correct, said, truth = (outcomes[column] * inside for column in ("correct", "said_yes", "is_yes"))
    if name == "f1":
        return ratio(2 * (weights @ (said * truth)), weights @ (said + truth))
    part, whole = {
        "accuracy": (correct, inside),
        "precision": (said * truth, said),
        "recall": (said * truth, truth),
        "yes_ratio": (said, inside),
    }[name]
    return share(weights, part, whole)


def _examples(path: Path, category: str) -> list[Example]:
    lines = read_text(path).split("\n")
    return [_example(line, f"{path}:{n}", category) for n, line in enumerate(lines, start=1) if line.strip()]


def _example(line: str, where: str, category: str) -> Example:
    row = parse_json(line, where)
    text, label = field(row, "text", where).strip(), field(row, "label", where)
    if label not in LABELS:
        raise DataError(f"{where}: label {label!r}; allowed are yes and no")
    return Example(
        # The official files count from 1 each, so the number alone names three questions.
        id=f"{category}/{field(row, 'question_id', where)}",
        image=field(row, "image", where),
        prompt=f"{text}\n{SHORT_ANSWER}",
        target=label,
        answers=(label,),
        question=text,
        category=category,
    )


POPE = Pope()
COCO_POPE = CocoPope()
