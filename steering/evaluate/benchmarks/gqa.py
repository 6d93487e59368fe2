"""Compositional questions about scenes in the GQA format, one reference each, exact match.

Files: <split>_balanced_questions.json {id: {"question", "imageId", "answer", "types": {"structural", "semantic"}}},
types being optional. An answer is stripped, loses the full stops at its end and becomes lower case (confirmed: LLaVA's
convert_gqa_for_eval.py); it is right where it equals the reference (confirmed: GQA's eval.py). binary and open are that
script's: a question of structural type query is open, any other binary. Its consistency, validity, plausibility and
distribution need files that testdev lacks and are not computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steering.errors import DataError
from steering.evaluate.benchmarks.form import (
    SHORT_ANSWER,
    Array,
    Example,
    Outcomes,
    check_subset,
    field,
    flags,
    read_json,
    share,
)

OPEN = "query"
STRUCTURAL = ("verify", "query", "choose", "logical", "compare")
SEMANTIC = ("obj", "attr", "rel", "cat", "global")
PROTOCOL = {
    "decoding": "generation",
    "prompt": f"question, then: {SHORT_ANSWER}",
    "scoring": "exact match after strip, full stops at the end removed, lower case; an empty answer is unparsed",
}


def bare(answer: str) -> str:
    """*answer* as it is compared and submitted."""
    return answer.strip().rstrip(".").lower()


class Gqa:
    """subset: a structural or a semantic type; category: "structural/semantic", empty where the file has no types.

    Metrics by type are undefined without types. The picture is <imageId>.jpg.
    """

    name = "gqa"
    version = 1
    metric = "accuracy"
    metrics: tuple[str, ...] = (
        "accuracy",
        "accuracy_binary",
        "accuracy_open",
        *(f"accuracy_{kind}" for kind in STRUCTURAL + SEMANTIC),
    )
    max_new_tokens = 16
    lettered = False
    protocol: Mapping[str, str] = PROTOCOL

    def examples(self, root: Path, split: str, subset: str | None = None) -> list[Example]:
        check_subset(self.name, subset, STRUCTURAL + SEMANTIC)
        path = root / f"{split}_balanced_questions.json"
        rows = read_json(path)
        if not isinstance(rows, dict):
            raise DataError(f"{path}: a {type(rows).__name__}; allowed is an object of questions by id")
        examples = [_example(number, row, f"{path}: {number}") for number, row in rows.items()]
        return [example for example in examples if subset is None or subset in example.category.split("/")]

    def outcome(self, example: Example, answer: str) -> dict[str, float]:
        said = bare(answer)
        structural, _, semantic = example.category.partition("/")
        return {
            "correct": float(bool(said) and said in example.answers),
            "parsed": float(bool(said)),
            "binary": float(structural not in ("", OPEN)),
            "open": float(structural == OPEN),
            **flags(structural, STRUCTURAL),
            **flags(semantic, SEMANTIC),
        }

    def measure(self, name: str, outcomes: Outcomes, weights: Array) -> Array:
        if name == "accuracy":
            return share(weights, outcomes["correct"])
        inside = outcomes[name.removeprefix("accuracy_")]
        return share(weights, outcomes["correct"] * inside, inside)


def _example(number: str, row: Any, where: str) -> Example:
    question, answer = field(row, "question", where).strip(), field(row, "answer", where)
    types = row.get("types") or {}
    return Example(
        id=number,
        image=f"{field(row, 'imageId', where)}.jpg",
        prompt=f"{question}\n{SHORT_ANSWER}",
        target=answer,
        answers=(answer,),
        question=question,
        category="/".join(field(types, kind, f"{where}: types") for kind in ("structural", "semantic"))
        if types
        else "",
    )


GQA = Gqa()
