"""What the runs of an experiment left behind, read back: scores, predictions, attention, manifests, metrics."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steering import layout
from steering.manifest import read_json
from steering.metrics_log import read_metrics
from steering.params import OF_A_RUN

Record = dict[str, Any]


@dataclass(frozen=True)
class RunResults:
    """One run's files; predictions by benchmark, scores that there are and those that say why there is none.

    analyses: the folder of each analysis that was made of it.
    """

    name: str
    manifest: Record
    metrics: Sequence[Record]
    scores: Sequence[Record]
    unscored: Sequence[Record]
    attention: Record
    analyses: Mapping[str, Path]
    predictions: Mapping[str, Sequence[Record]]
    adapter: Path


def run_name(run: Mapping[str, Any]) -> str:
    world, data, arm, seed = _names(run)
    return f"{world}/{data}/{arm}/seed{seed}"


def _names(run: Mapping[str, Any]) -> tuple[str, str, str, int]:
    return run["world"], run["data"], run["arm"], run["seed"]


def read_results(runs: Iterable[Mapping[str, Any]], *, split: str) -> list[RunResults]:
    """The results of *runs* (world, data, arm, seed each) on *split*."""
    return [_read(run, split) for run in runs]


def _read(run: Mapping[str, Any], split: str) -> RunResults:
    names = _names(run)
    trained, outcome = layout.run(*names), layout.outcome(*names)
    scores = [score for score in read_json(outcome / "scores.json") if score["split"] == split]
    return RunResults(
        name=run_name(run),
        manifest=read_json(trained / "manifest.json"),
        metrics=read_metrics(trained / "metrics.jsonl"),
        scores=[score for score in scores if "unscored" not in score],
        unscored=[score for score in scores if "unscored" in score],
        attention=read_json(outcome / "attention" / "attention.json"),
        analyses={name: outcome / name for name in OF_A_RUN if (outcome / name / "manifest.json").exists()},
        predictions={name: own for (name, of), own in answers_of(outcome).items() if of == split},
        adapter=trained / "adapter",
    )


def answers_of(outcome: Path) -> dict[tuple[str, str], list[Record]]:
    """A run's prediction records by (benchmark, split), in that order."""
    found: dict[tuple[str, str], list[Record]] = defaultdict(list)
    with (outcome / "predictions" / "predictions.jsonl").open(encoding="utf-8") as file:
        for line in map(json.loads, file):
            found[line["benchmark"], line["split"]].append(line)
    return dict(sorted(found.items()))
