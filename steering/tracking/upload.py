"""One run or one table brought into MLflow: whole when it is finished, line by line while it trains."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steering.tracking import client, orphans, registry, runs, sending
from steering.tracking.client import speaking_to
from steering.tracking.orphans import Process
from steering.tracking.record import RunRecord


def upload(record: RunRecord, *, tracking_uri: str, experiment: str) -> str:
    """Bring the MLflow run of *record* up to date below the table *experiment* and return its id, idempotently.

    Raises:
        TrackingError: nobody answers (found within seconds), one answer takes too long twice, or the server refuses.
    """
    with speaking_to(tracking_uri, patience=client.upload_wait_seconds) as mlflow:
        parent = runs.parent_of(mlflow, str(record.manifest["world"]), experiment)
        run = runs.child_of(mlflow, parent, record)
        sending.send_params(mlflow, run, record)
        sending.send_steps(mlflow, run, record.metrics)
        sending.send_attention(mlflow, run, record)
        sending.send_scores(mlflow, run, record)
        sending.send_tags(mlflow, run, record.tags())
        sending.drop_reasons(mlflow, run, record)
        sending.send_datasets(mlflow, run, record.datasets)
        sending.send_artifacts(mlflow, run, record.artifacts)
        registry.register(mlflow, run, record)
        sending.finish(mlflow, run, record)
        return str(run.info.run_id)


def upload_table(files: Sequence[Path], *, tracking_uri: str, experiment: str, world: str) -> str:
    """Hang *files* (report, table, figures) on the parent run of the table *experiment* and return its id.

    Runs of the same world that say RUNNING though their training is gone are ended as KILLED.

    Raises:
        TrackingError: as `upload`.
    """
    with speaking_to(tracking_uri, patience=client.upload_wait_seconds) as mlflow:
        parent = runs.parent_of(mlflow, world, experiment)
        sending.send_artifacts(mlflow, parent, files)
        if parent.info.status != "FINISHED":
            mlflow.set_terminated(parent.info.run_id, "FINISHED")
        orphans.end(mlflow, parent.info.experiment_id)
        return str(parent.info.run_id)


@dataclass(frozen=True)
class LiveRun:
    """The MLflow run of a training that goes on, and the steps it had of each metric when it was taken over."""

    id: str
    steps: Mapping[str, Collection[int]]


def take_over(record: RunRecord, *, tracking_uri: str, process: Process | None = None) -> LiveRun:
    """The run that shows *record*, from now on RUNNING: an earlier attempt's, however it ended, or else a new one.

    process: the training, by which others find out whether it is gone; runs of its world whose own is are ended.

    Raises:
        TrackingError: the server does not answer within about ten seconds, or refuses.
    """
    with speaking_to(tracking_uri) as mlflow:
        run = runs.shown(mlflow, record)
        if run.info.status != "RUNNING":
            mlflow.update_run(run.info.run_id, status="RUNNING")
        sending.send_params(mlflow, run, record)
        sending.send_tags(mlflow, run, record.tags() | (process.sign() if process else {}))
        orphans.end(mlflow, run.info.experiment_id)
        return LiveRun(str(run.info.run_id), {name: sending.steps(mlflow, run, name) for name in run.data.metrics})


def follow(
    live: LiveRun,
    lines: Sequence[Mapping[str, Any]],
    *,
    tracking_uri: str,
    status: str | None = None,
    process: Process | None = None,
) -> None:
    """Add the steps of *lines* that *live* did not have when it was taken over, then end it with *status*, if any.

    process: where given, a sign of its life is left.

    Raises:
        TrackingError: the server does not answer within about ten seconds, or refuses. Which lines arrived is then
            unknown: take the run over again.
    """
    with speaking_to(tracking_uri) as mlflow:
        sending.send_lines(mlflow, live.id, lines, live.steps)
        if process:
            for name, told in process.sign().items():
                mlflow.set_tag(live.id, name, told)
        if status:
            mlflow.set_terminated(live.id, status)
