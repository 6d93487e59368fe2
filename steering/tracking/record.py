"""What MLflow is shown of one run, and the flat names and numbers that MLflow takes. Imports no MLflow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from steering.manifest import digest

FACTS = ("world", "data", "arm", "method", "seed", "commit", "trainable_llm", "trainable_connector", "trainable_all")
SIZES = ("adapter_bytes", "runtime_seconds", "peak_memory_bytes")
MACHINE = ("host", "slurm_job")
SETTINGS = ("rank", "token_ratio", "layers", "placement")
PLACES = ("step", "time")
"""What a line says of its place: MLflow draws model metrics over the step and system metrics over the time."""
UNSCORED = "unscored."
COLOUR = "mlflow.runColor"
CURVES = {"without_sink": "lmar", "with_sink": "lmar_with_first_token"}
ATTENTION = "attention/"
"""Metrics of one prefix are one section of MLflow's chart page."""


@dataclass(frozen=True)
class DataInput:
    """A data set that a run was trained or asked on, by the digest that the run's manifest gives.

    context: "training", "evaluation" or "training, evaluation".
    """

    name: str
    digest: str
    path: Path
    context: str


@dataclass(frozen=True)
class Weights:
    """What a run trained: its folder, the sha256 of each file of weights there, and the base model they belong to."""

    folder: Path
    sums: Mapping[str, str]
    base: Mapping[str, Any]

    @property
    def digest(self) -> str:
        return digest(dict(self.sums))


@dataclass(frozen=True)
class RunRecord:
    """All that MLflow is shown of one run: its manifest, the lines of metrics.jsonl, its scores, and what has none.

    artifacts: files or folders (an adapter's configuration, say); state: "finished" or "failed".
    attention: the content of attention.json; recorded: where DVC remembers the run's bytes, as tags.
    colour: of its curves in MLflow, as #rrggbb; by default MLflow draws lots.
    key: run@digest(settings, inputs), by which every attempt of one training is the same run.
    """

    manifest: Mapping[str, Any]
    metrics: Sequence[Mapping[str, Any]] = ()
    scores: Sequence[Mapping[str, Any]] = ()
    unscored: Sequence[Mapping[str, Any]] = ()
    attention: Mapping[str, Any] = field(default_factory=dict)
    datasets: Sequence[DataInput] = ()
    weights: Weights | None = None
    recorded: Mapping[str, str] = field(default_factory=dict)
    artifacts: Sequence[Path] = ()
    state: str = "finished"
    colour: str = ""

    key: str = field(init=False)

    def __post_init__(self) -> None:
        determined = {name: self.manifest.get(name) for name in ("settings", "inputs")}
        digest = hashlib.sha256(json.dumps(determined, sort_keys=True, default=str).encode()).hexdigest()[:12]
        object.__setattr__(self, "key", f"{self.manifest['run']}@{digest}")

    @property
    def name(self) -> str:
        return f"{self.manifest['arm']}/seed{self.manifest['seed']}"

    def tags(self) -> dict[str, str]:
        settings = self.manifest.get("settings") or {}
        told = _known(self.manifest, FACTS + SIZES + MACHINE) | _known(settings, SETTINGS) | dict(self.recorded)
        told |= {COLOUR: self.colour} if self.colour else {}
        return told | {UNSCORED + str(entry["benchmark"]): str(entry["unscored"]) for entry in self.unscored}


def _known(told: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    return {name: str(told[name]) for name in names if told.get(name) is not None}


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
    values = [(name, int(line["step"]), value) for line in lines for name, value in line.items() if name not in PLACES]
    return [(name, step, float(value)) for name, step, value in values if isinstance(value, int | float)]


def score_values(scores: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Scores as <benchmark>.<metric>, .low and .high; those without a value are left out."""
    values: dict[str, float] = {}
    for score in scores:
        for metric, entry in score["metrics"].items():
            values |= _interval(f"{score['benchmark']}.{metric}", entry)
    return values


def layer_lines(attention: Mapping[str, Any]) -> list[dict[str, float]]:
    """The curves of attention.json as lines whose step is the layer, counted from 1 as in the report.

    LMAR as a mean of ratios without the first token (the report's figure) and with it, and the share of attention on
    visual positions, each with its interval.
    """
    ratios = attention.get("lmar", {})
    curves = {name: ratios[kind]["mean_of_ratios"] for kind, name in CURVES.items() if kind in ratios}
    curves |= {"visual_share": attention["visual_share"]} if "visual_share" in attention else {}
    lines: dict[int, dict[str, float]] = {}
    for name, curve in curves.items():
        for layer, entry in enumerate(curve, start=1):
            lines.setdefault(layer, {"step": layer}).update(_interval(ATTENTION + name, entry))
    return list(lines.values())


def _interval(name: str, entry: Mapping[str, Any]) -> dict[str, float]:
    values = {name: entry["value"], f"{name}.low": entry["low"], f"{name}.high": entry["high"]}
    return {name: float(value) for name, value in values.items() if value is not None}


def milliseconds(moment: object) -> int | None:
    """A manifest's moment (seconds since 1970 or ISO text) in MLflow's milliseconds."""
    if isinstance(moment, int | float):
        return int(moment * 1000)
    return int(datetime.fromisoformat(moment).timestamp() * 1000) if isinstance(moment, str) and moment else None
