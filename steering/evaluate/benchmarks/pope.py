"""Is an object in the picture? POPE's yes/no questions with random, popular and adversarial negatives.

Files: <split>/{random,popular,adversarial}.json, JSON lines {"question_id", "image", "text", "label"}.
Reading an answer (POPE's and LLaVA's eval_pope.py): the first sentence, commas removed; no if one of its words
is No, not or no, else yes. It departs from them in two places: an answer without words counts as unparsed and
wrong, where they read yes; and a line break parts words like a space. yes_ratio is of the predictions.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

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
    words = answer.strip().split(".")[0].replace(",", "").split()
    if not words:
        return None
    return "no" if NO_WORDS.intersection(words) else "yes"


PROTOCOL = {
    "decoding": "generation",
    "prompt": f"question, then: {SHORT_ANSWER}",
    "scoring": "first sentence, commas removed, No/not/no as a word is no, else yes; empty is unparsed and wrong; "
    "yes_ratio is of the predictions",
}


class Pope:
    """subset: one of the three kinds of negatives, which are also the categories; None for all three."""

    name = "pope"
    version = 1
    metric = "accuracy"
    metrics: tuple[str, ...] = (
        "accuracy",
        "precision",
        "recall",
        "f1",
        "yes_ratio",
        *(f"accuracy_{category}" for category in CATEGORIES),
    )
    max_new_tokens = 16
    lettered = False
    protocol: Mapping[str, str] = PROTOCOL

    def examples(self, root: Path, split: str, subset: str | None = None) -> list[Example]:
        check_subset(self.name, subset, CATEGORIES)
        kept = CATEGORIES if subset is None else (subset,)
        return [example for category in kept for example in _examples(root / split / f"{category}.json", category)]

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
        correct, said, truth = outcomes["correct"], outcomes["said_yes"], outcomes["is_yes"]
        if name.startswith("accuracy_"):
            category = outcomes[name.removeprefix("accuracy_")]
            return share(weights, correct * category, category)
        if name == "f1":
            return ratio(2 * (weights @ (said * truth)), weights @ (said + truth))
        part, whole = {
            "accuracy": (correct, None),
            "precision": (said * truth, said),
            "recall": (said * truth, truth),
            "yes_ratio": (said, None),
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
