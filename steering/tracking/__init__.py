"""The history of a run: metrics.jsonl, which is the truth, and its way into MLflow, which only shows it.

This module is the only one that imports MLflow, and only inside functions. `upload` and `upload_table` send what is
finished; `take_over` and `follow` show a training while it goes on (steering.tracking.live calls them). Sending
anything twice changes nothing.

An MLflow experiment is a world, a parent run is a table of the paper, a child run is one arm with one seed. A run
that trains may come to serve several tables, or none, so it stands at the top of its world, where whoever opens
MLflow sees it RUNNING without unfolding a table. Its key is "no table/<record.key>" until the first upload hangs it
under its table and renames the key to "<table>/<record.key>", as if it had been made there; a further table has a
copy of its own, as ever. A training that some table shows already goes on in that run.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from steering.metrics_log import MetricsLog, TrackingError, read_metrics
from steering.tracking.address import public, refuse_silence, without_secrets
from steering.tracking.record import UNSCORED, RunRecord, flat, milliseconds, score_values, step_values

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = [
    "LiveRun",
    "MetricsLog",
    "RunRecord",
    "TrackingError",
    "follow",
    "initialise",
    "read_metrics",
    "take_over",
    "upload",
    "upload_table",
]

wait_seconds = 4  # of one request; with one repeat and its pause a dead server is given up after about ten
METRICS_PER_BATCH = 1000
PARAMS_PER_BATCH = 100
PARAM_CHARACTERS = 6000
RUN_KEY = "steering.run_key"
ARTIFACT_KEY = "steering.artifact."
ARTIFACT_ROOT = "steering.artifact_root"
NO_TABLE = "no table"  # a blank, which no table's name has
DEFAULT_EXPERIMENT = "0"


def initialise(db_uri: str, artifact_root: str) -> None:
    """Create the database of *db_uri* (sqlite:///...) before any job opens it: several at once would break a fresh one.

    Raises:
        TrackingError: the database cannot be made.
    """
    if db_uri.startswith("sqlite:///"):
        Path(db_uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    root = artifact_root if urlsplit(artifact_root).scheme else Path(artifact_root).resolve().as_uri()
    with _speaking_to(db_uri) as client:
        client.set_experiment_tag(DEFAULT_EXPERIMENT, ARTIFACT_ROOT, root)


def upload(record: RunRecord, *, tracking_uri: str, experiment: str) -> str:
    """Bring the MLflow run of *record* up to date below the table *experiment* and return its id, idempotently.

    Raises:
        TrackingError: the server does not answer within about ten seconds, or refuses.
    """
    with _speaking_to(tracking_uri) as client:
        parent = _parent(client, str(record.manifest["world"]), experiment)
        run = _child(client, parent, record)
        _send_params(client, run, record)
        _send_steps(client, run, record.metrics)
        _send_scores(client, run, record)
        _send_tags(client, run, record.tags())
        _drop_reasons(client, run, record)
        for path in record.artifacts:
            _send_artifact(client, run, path)
        _finish(client, run, record)
        return str(run.info.run_id)


def upload_table(files: Sequence[Path], *, tracking_uri: str, experiment: str, world: str) -> str:
    """Hang *files* (report, table, figures) on the parent run of the table *experiment* and return its id.

    Raises:
        TrackingError: the server does not answer within about ten seconds, or refuses.
    """
    with _speaking_to(tracking_uri) as client:
        parent = _parent(client, world, experiment)
        for path in files:
            _send_artifact(client, parent, path)
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
    with _speaking_to(tracking_uri) as client:
        run = _shown(client, record)
        if run.info.status != "RUNNING":
            client.update_run(run.info.run_id, status="RUNNING")
        _send_params(client, run, record)
        _send_tags(client, run, record.tags())
        return LiveRun(str(run.info.run_id), {name: _steps(client, run, name) for name in run.data.metrics})


def follow(live: LiveRun, lines: Sequence[Mapping[str, Any]], *, tracking_uri: str, status: str | None = None) -> None:
    """Add the steps of *lines* that *live* did not have when it was taken over, then end it with *status*, if any.

    Raises:
        TrackingError: the server does not answer within about ten seconds, or refuses. Which lines arrived is then
            unknown: take the run over again.
    """
    with _speaking_to(tracking_uri) as client:
        _send_lines(client, live.id, lines, live.steps)
        if status:
            client.set_terminated(live.id, status)


@contextlib.contextmanager
def _speaking_to(uri: str) -> Iterator[MlflowClient]:
    """An MLflow client whose every fault is a `TrackingError`, and which does not wait for the dead."""
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(wait_seconds)
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
    os.environ["MLFLOW_HTTP_REQUEST_BACKOFF_JITTER"] = "0"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # it would print the password with the address
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    refuse_silence(uri, wait_seconds=wait_seconds)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        yield MlflowClient(tracking_uri=uri)
    except (MlflowException, OSError) as fault:
        text = (without_secrets(str(fault), uri).splitlines() or [""])[0]
        # no `from fault`: its text holds the password of the address
        raise TrackingError(f"{public(uri)}: {text[:300]}") from None


def _experiment_id(client: MlflowClient, world: str) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(world)
    if found is not None:
        return str(found.experiment_id)
    root = client.get_experiment(DEFAULT_EXPERIMENT).tags.get(ARTIFACT_ROOT)
    try:
        return str(client.create_experiment(world, artifact_location=f"{root}/{world}" if root else None))
    except MlflowException:
        found = client.get_experiment_by_name(world)  # another run, started in the same moment, was quicker
        if found is None:
            raise
        return str(found.experiment_id)


def _parent(client: MlflowClient, world: str, experiment: str) -> Run:
    experiment_id, key = _experiment_id(client, world), f"table/{experiment}"
    tags = {"mlflow.runName": experiment, RUN_KEY: key}
    return _found(client, experiment_id, key) or client.create_run(experiment_id, tags=tags)


def _child(client: MlflowClient, parent: Run, record: RunRecord) -> Run:
    """The run of *record* below *parent*: there already, or followed live and now hung there, or made."""
    experiment_id, key = parent.info.experiment_id, f"{parent.data.tags['mlflow.runName']}/{record.key}"
    tags = {"mlflow.runName": record.name, "mlflow.parentRunId": parent.info.run_id, RUN_KEY: key}
    if run := _found(client, experiment_id, key):
        return run
    if run := _found(client, experiment_id, f"{NO_TABLE}/{record.key}"):
        _send_tags(client, run, tags)
        return run
    return client.create_run(experiment_id, start_time=milliseconds(record.manifest.get("started")), tags=tags)


def _shown(client: MlflowClient, record: RunRecord) -> Run:
    """The run that shows *record*, live or below any table; made, as yet below none, if there is none."""
    experiment_id, ending = _experiment_id(client, str(record.manifest["world"])), f"/{record.key}"
    found = client.search_runs([experiment_id], filter_string=f"tags.`{RUN_KEY}` LIKE '%{ending}'")
    for run in found:
        if run.data.tags[RUN_KEY].endswith(ending):  # to LIKE an underscore is any letter
            return run
    tags = {"mlflow.runName": record.name, RUN_KEY: NO_TABLE + ending}
    return client.create_run(experiment_id, start_time=milliseconds(record.manifest.get("started")), tags=tags)


def _found(client: MlflowClient, experiment_id: str, key: str) -> Run | None:
    """The run whose tag steering.run_key is *key*."""
    found = client.search_runs([experiment_id], filter_string=f"tags.`{RUN_KEY}` = '{key}'", max_results=1)
    return found[0] if found else None


def _send_params(client: MlflowClient, run: Run, record: RunRecord) -> None:
    from mlflow.entities import Param

    told = flat(record.manifest.get("settings") or {})
    new = [Param(name, text[:PARAM_CHARACTERS]) for name, text in told.items() if name not in run.data.params]
    for start in range(0, len(new), PARAMS_PER_BATCH):
        client.log_batch(run.info.run_id, params=new[start : start + PARAMS_PER_BATCH])


def _send_steps(client: MlflowClient, run: Run, lines: Sequence[Mapping[str, Any]]) -> None:
    names = {name for line in lines for name in line}
    _send_lines(
        client, run.info.run_id, lines, {name: _steps(client, run, name) for name in names & set(run.data.metrics)}
    )


def _send_lines(
    client: MlflowClient, run_id: str, lines: Sequence[Mapping[str, Any]], present: Mapping[str, Collection[int]]
) -> None:
    """Add what *lines* hold beyond the steps that are *present* of each name: MLflow appends a repeated step."""
    from mlflow.entities import Metric

    stamp, values = _now(), step_values(lines)
    new = [Metric(name, value, stamp, step) for name, step, value in values if step not in present.get(name, ())]
    for start in range(0, len(new), METRICS_PER_BATCH):
        client.log_batch(run_id, metrics=new[start : start + METRICS_PER_BATCH])


def _steps(client: MlflowClient, run: Run, name: str) -> set[int]:
    return {metric.step for metric in client.get_metric_history(run.info.run_id, name)}


def _send_scores(client: MlflowClient, run: Run, record: RunRecord) -> None:
    """A changed score is the next step of its metric."""
    from mlflow.entities import Metric

    values = score_values(record.scores)
    new = [name for name, value in values.items() if not _same(run.data.metrics.get(name), value)]
    steps = {name: len(_steps(client, run, name)) if name in run.data.metrics else 0 for name in new}
    metrics = [Metric(name, values[name], _now(), steps[name]) for name in new]
    if metrics:
        client.log_batch(run.info.run_id, metrics=metrics)


def _same(old: float | None, new: float) -> bool:
    return old is not None and (old == new or (math.isnan(old) and math.isnan(new)))


def _send_tags(client: MlflowClient, run: Run, tags: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag

    new = [RunTag(name, value) for name, value in tags.items() if run.data.tags.get(name) != value]
    if new:
        client.log_batch(run.info.run_id, tags=new)


def _drop_reasons(client: MlflowClient, run: Run, record: RunRecord) -> None:
    """Take away why a benchmark had no score once it has one."""
    kept = record.tags()
    for name in run.data.tags:
        if name.startswith(UNSCORED) and name not in kept:
            client.delete_tag(run.info.run_id, name)


def _send_artifact(client: MlflowClient, run: Run, path: Path) -> None:
    """Send a file or folder, unless the run's tag says that these very bytes are there already."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()[:16]
    tag = ARTIFACT_KEY + path.name
    if run.data.tags.get(tag) == digest:
        return
    if path.is_dir():
        client.log_artifacts(run.info.run_id, str(path), artifact_path=path.name)
    else:
        client.log_artifact(run.info.run_id, str(path))
    client.set_tag(run.info.run_id, tag, digest)


def _finish(client: MlflowClient, run: Run, record: RunRecord) -> None:
    status = "FAILED" if record.state == "failed" else "FINISHED"
    if run.info.status != status:
        ended = milliseconds(record.manifest.get("finished"))
        client.set_terminated(run.info.run_id, status=status, end_time=ended)


def _now() -> int:
    return time.time_ns() // 1_000_000
