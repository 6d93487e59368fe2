"""A run's answered questions, read back to be measured: which there are, and what a job that measures them reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from steering import layout

Record = dict[str, Any]


def answered(outcome: Path, benchmark: str) -> list[Record]:
    """The prediction records of *benchmark* that have a picture, in the order of their ids."""
    with (outcome / "predictions" / "predictions.jsonl").open(encoding="utf-8") as file:
        records = [line for line in map(json.loads, file) if line["benchmark"] == benchmark and line["picture"]]
    return sorted(records, key=lambda line: line["id"])


def measuring(content: Record, run: tuple[str, str, str, int], dataset: str) -> dict[str, Path]:
    """The inputs of a job that reads *run*'s answers to questions about *dataset* with its model."""
    from steering import assemble

    inputs = {
        "run": layout.run(*run),
        "base": layout.language_model(content["language_model"]["name"]),
        "answers": layout.outcome(*run) / "predictions",
        dataset: layout.dataset(content["world"], dataset),
    }
    if assemble.live(content, layout.run(*run)):
        return inputs | {"vision": layout.vision_encoder(content["vision_encoder"]["name"])}
    return inputs | assemble.pictures(content, [dataset])


def chosen(records: Sequence[Record], count: int) -> list[Record]:
    """*count* of *records* by a hash of their ids, so the same for every run; of different pictures while there are."""
    drawn = sorted(records, key=lambda record: hashlib.sha256(str(record["id"]).encode()).hexdigest())
    first = {record["picture"]: place for place, record in reversed(list(enumerate(drawn)))}
    ordered = sorted(enumerate(drawn), key=lambda at: (first[at[1]["picture"]] != at[0], at[0]))
    return [record for _, record in ordered[:count]]
