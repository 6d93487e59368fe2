"""What MLflow is shown of one run, and the flat names and numbers that MLflow takes. Imports no MLflow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

TAGS = ("world", "data", "arm", "method", "seed", "commit", "trainable_llm", "trainable_connector", "trainable_all")
UNSCORED = "unscored."
SIZES = ("adapter_bytes", "runtime_seconds", "peak_memory_bytes")


@dataclass(frozen=True)
class RunRecord:
    """All that MLflow is shown of one run: its manifest, the lines of metrics.jsonl, its scores, and what has none.

    artifacts: files or folders (an adapter's configuration, say); state: "finished" or "failed".
    key: run@digest(settings, inputs), by which every attempt of one training is the same run.
    """

    manifest: Mapping[str, Any]
    metrics: Sequence[Mapping[str, Any]] = ()
    scores: Sequence[Mapping[str, Any]] = ()
    unscored: Sequence[Mapping[str, Any]] = ()
    artifacts: Sequence[Path] = ()
    state: str = "finished"

    key: str = field(init=False)

    def __post_init__(self) -> None:
        determined = {name: self.manifest.get(name) for name in ("settings", "inputs")}
        digest = hashlib.sha256(json.dumps(determined, sort_keys=True, default=str).encode()).hexdigest()[:12]
        object.__setattr__(self, "key", f"{self.manifest['run']}@{digest}")

    @property
    def name(self) -> str:
        return f"{self.manifest['arm']}/seed{self.manifest['seed']}"

    def tags(self) -> dict[str, str]:
        known = {name: str(self.manifest[name]) for name in TAGS + SIZES if self.manifest.get(name) is not None}
        return known | {UNSCORED + str(entry["benchmark"]): str(entry["unscored"]) for entry in self.unscored}


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """{"arm": {"rank": 1}} as {"arm.rank": "1"}."""
    told: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            told.update(flat(value, f"{prefix}{name}."))
        else:
            told[prefix + name] = str(value)
    return told


def step_values(lines: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, float]]:
    """The numbers in lines of metrics.jsonl, as (name, step, value)."""
    values = [(name, int(line["step"]), value) for line in lines for name, value in line.items() if name != "step"]
    return [(name, step, float(value)) for name, step, value in values if isinstance(value, int | float)]


def score_values(scores: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Scores as <benchmark>.<metric>, .low and .high; those without a value are left out."""
    values: dict[str, float] = {}
    for score in scores:
        for metric, entry in score["metrics"].items():
            name = f"{score['benchmark']}.{metric}"
            values |= {name: entry["value"], f"{name}.low": entry["low"], f"{name}.high": entry["high"]}
    return {name: float(value) for name, value in values.items() if value is not None}


def milliseconds(moment: object) -> int | None:
    """A manifest's moment (seconds since 1970 or ISO text) in MLflow's milliseconds."""
    if isinstance(moment, int | float):
        return int(moment * 1000)
    return int(datetime.fromisoformat(moment).timestamp() * 1000) if isinstance(moment, str) and moment else None
