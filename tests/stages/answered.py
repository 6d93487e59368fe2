"""A run's predictions on disk for the stages that come after: records of made-up questions, and the slices to read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from steering import layout
from steering.evaluate.benchmarks import Example
from steering.evaluate.scoring import prediction_of

RUN = ("tiny", "mix", "none", 0)
OUT = layout.outcome(*RUN)


def run_slice(**more: Any) -> dict[str, Any]:
    named = dict(zip(("world", "data", "arm", "seed"), RUN, strict=True))
    return {**named, "settings": {"method": "none"}, **more}


def benchmark(form: str, **more: Any) -> dict[str, Any]:
    return {"form": form, "dataset": "pictures", "folder": ".", "subset": None, "instruction": True, **more}


def put_answers(said: Mapping[tuple[str, str], Iterable[tuple[Example, str]]]) -> Path:
    """predictions.jsonl with {(benchmark, split): pairs of example and answer}; its folder has a manifest."""
    folder = OUT / "predictions"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        {"benchmark": name, "split": split, "picture": one.image, **prediction_of(one, group=one.id, answer=answer)}
        for (name, split), pairs in said.items()
        for one, answer in pairs
    ]
    (folder / "predictions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def mmvet_pairs(count: int = 3) -> list[tuple[Example, str]]:
    return [
        (Example(f"v1_{n}", f"images/{n}.png", f"q{n}", "t", ("t",), question=f"q{n}", category="rec"), f"answer {n}")
        for n in range(count)
    ]
