"""A training's manifest and log as live tracking follows them, and what MLflow shows of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from steering.tracking import MetricsLog


def manifest(arm: str) -> dict[str, Any]:
    return {
        "run": f"embedded/mix/{arm}/seed0",
        "world": "embedded",
        "data": "mix",
        "arm": arm,
        "seed": 0,
        "settings": {"method": "mores", "rank": 1},
        "inputs": {"base": "abc"},
        "started": "2026-01-02T03:04:05+00:00",
    }


def write(path: Path, steps: range, *, resume_step: int | None = None) -> None:
    with MetricsLog(path, resume_step=resume_step) as log:
        for step in steps:
            log.log(step, loss=1 / step, seconds=0.1)


def shown(uri: str, arm: str) -> list[Run]:
    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name("embedded")
    return client.search_runs([found.experiment_id], filter_string=f"tags.arm = '{arm}'") if found else []


def steps(uri: str, run: Run, name: str = "loss") -> list[int]:
    return [metric.step for metric in MlflowClient(tracking_uri=uri).get_metric_history(run.info.run_id, name)]
