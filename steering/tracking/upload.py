"""One run or one table brought into MLflow: whole when it is finished, line by line while it trains."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steering.tracking import runs, sending
from steering.tracking.client import speaking_to
from steering.tracking.record import RunRecord


def upload(record: RunRecord, *, tracking_uri: str, experiment: str) -> str:
    """Bring the MLflow run of *record* up to date below the table *experiment* and return its id, idempotently.

    Raises:
        TrackingError: the server does not answer within about ten seconds, or refuses.
    """
    with speaking_to(tracking_uri) as client:
        parent = runs.parent_of(client, str(record.manifest["world"]), experiment)
        run = runs.child_of(client, parent, record)
        sending.send_params(client, run, record)
        sending.send_steps(client, run, record.metrics)
        sending.send_scores(client, run, record)
        sending.send_tags(client, run, record.tags())
        sending.drop_reasons(client, run, record)
        for path in record.artifacts:
            sending.send_artifact(client, run, path)
        sending.finish(client, run, record)
        return str(run.info.run_id)


def upload_table(files: Sequence[Path], *, tracking_uri: str, experiment: str, world: str) -> str:
    """Hang *files* (report, table, figures) on the parent run of the table *experiment* and return its id.

    Raises:
        TrackingError: the server does not answer within about ten seconds, or refuses.
    """
    with speaking_to(tracking_uri) as client:
        parent = runs.parent_of(client, world, experiment)
        for path in files:
            sending.send_artifact(client, parent, path)
        if parent.info.status != "FINISHED":
            client.set_terminated(parent.info.run_id, "FINISHED")
        return str(parent.info.run_id)


@dataclass(frozen=True)
class LiveRun:
    """The MLflow run of a training that goes on, and the steps it had of each metric when it was taken over."""

    id: str
    steps: Mapping[str, Collection[int]]


def take_over(record: RunRecord, *, tracking_uri: str) -> LiveRun:
    """The run that shows *record*, from now on RUNNING: an earlier attempt's, however it ended, or else a new one.

    Raises:
        TrackingError: the server does not answer within about ten seconds, or refuses.
    """
    with speaking_to(tracking_uri) as client:
        run = runs.shown(client, record)
        if run.info.status != "RUNNING":
            client.update_run(run.info.run_id, status="RUNNING")
        sending.send_params(client, run, record)
        sending.send_tags(client, run, record.tags())
        return LiveRun(str(run.info.run_id), {name: sending.steps(client, run, name) for name in run.data.metrics})


def follow(live: LiveRun, lines: Sequence[Mapping[str, Any]], *, tracking_uri: str, status: str | None = None) -> None:
    """Add the steps of *lines* that *live* did not have when it was taken over, then end it with *status*, if any.

    Raises:
        TrackingError: the server does not answer within about ten seconds, or refuses. Which lines arrived is then
            unknown: take the run over again.
    """
    with speaking_to(tracking_uri) as client:
        sending.send_lines(client, live.id, lines, live.steps)
        if status:
            client.set_terminated(live.id, status)
