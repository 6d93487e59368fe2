"""The history of a run: metrics.jsonl, which is the truth, and its way into MLflow, which only shows it.

`MetricsLog` and `read_metrics` know no MLflow. `initialise`, `upload` and `upload_table` are the only place that
imports it, inside functions: a finished run is sent after the fact, and sending it twice changes nothing.
An MLflow experiment is a world, a parent run is a table of the paper, a child run is one arm with one seed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from steering.metrics_log import MetricsLog, TrackingError, read_metrics

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["MetricsLog", "RunRecord", "TrackingError", "initialise", "read_metrics", "upload", "upload_table"]

wait_seconds = 4  # of one request; with one repeat and its pause a dead server is given up after about ten
METRICS_PER_BATCH = 1000
PARAMS_PER_BATCH = 100
PARAM_CHARACTERS = 6000
RUN_KEY = "steering.run_key"
ARTIFACT_KEY = "steering.artifact."
ARTIFACT_ROOT = "steering.artifact_root"
DEFAULT_EXPERIMENT = "0"


@dataclass(frozen=True)
class RunRecord:
    """All that MLflow is shown of one run: its manifest, the lines of metrics.jsonl and its score files.

    artifacts: files or folders (an adapter's configuration, say); state: "finished" or "failed".
    """

    manifest: Mapping[str, Any]
    metrics: Sequence[Mapping[str, Any]] = ()
    scores: Sequence[Mapping[str, Any]] = ()
    artifacts: Sequence[Path] = ()
    state: str = "finished"

    key: str = field(init=False)

    def __post_init__(self) -> None:
        determined = {name: self.manifest.get(name) for name in ("settings", "inputs")}
        digest = hashlib.sha256(json.dumps(determined, sort_keys=True, default=str).encode()).hexdigest()[:12]
        object.__setattr__(self, "key", f"{self.manifest['run']}@{digest}")


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
        _send_steps(client, run, record)
        _send_scores(client, run, record)
        _send_tags(client, run, _tags(record))
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


@contextlib.contextmanager
def _speaking_to(uri: str) -> Iterator[MlflowClient]:
    """An MLflow client whose every fault is a `TrackingError`, and which does not wait for the dead."""
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(wait_seconds)
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
    os.environ["MLFLOW_HTTP_REQUEST_BACKOFF_JITTER"] = "0"
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    _refuse_silence(uri)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        yield MlflowClient(tracking_uri=uri)
    except (MlflowException, OSError) as fault:
        text = str(fault).replace(urlsplit(uri).netloc or uri, urlsplit(_public(uri)).netloc or uri)
        # no `from fault`: its text holds the password of the address
        raise TrackingError(f"{_public(uri)}: {(text.splitlines() or [''])[0][:300]}") from None


def _refuse_silence(uri: str) -> None:
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return
    try:
        socket.create_connection((parts.hostname or "", parts.port or 80), timeout=wait_seconds).close()
    except OSError as fault:
        raise TrackingError(
            f"{_public(uri)}: no tracking server answers ({fault}); start one, or leave the upload for later"
        ) from fault


def _public(uri: str) -> str:
    """*uri* without a user name or password."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _experiment_id(client: MlflowClient, world: str) -> str:
    found = client.get_experiment_by_name(world)
    if found is not None:
        return str(found.experiment_id)
    root = client.get_experiment(DEFAULT_EXPERIMENT).tags.get(ARTIFACT_ROOT)
    return str(client.create_experiment(world, artifact_location=f"{root}/{world}" if root else None))


def _parent(client: MlflowClient, world: str, experiment: str) -> Run:
    return _run(client, _experiment_id(client, world), f"table/{experiment}", {"mlflow.runName": experiment})


def _child(client: MlflowClient, parent: Run, record: RunRecord) -> Run:
    name = f"{record.manifest['arm']}/seed{record.manifest['seed']}"
    key = f"{parent.data.tags['mlflow.runName']}/{record.key}"
    tags = {"mlflow.runName": name, "mlflow.parentRunId": parent.info.run_id}
    return _run(client, parent.info.experiment_id, key, tags, _milliseconds(record.manifest.get("started")))


def _run(
    client: MlflowClient, experiment_id: str, key: str, tags: Mapping[str, str], started: int | None = None
) -> Run:
    """The run whose tag steering.run_key is *key*, made if there is none."""
    found = client.search_runs([experiment_id], filter_string=f"tags.`{RUN_KEY}` = '{key}'", max_results=1)
    if found:
        return found[0]
    return client.create_run(experiment_id, start_time=started, tags={**tags, RUN_KEY: key})


def _send_params(client: MlflowClient, run: Run, record: RunRecord) -> None:
    from mlflow.entities import Param

    flat = _flat(record.manifest.get("settings") or {})
    new = [Param(name, text[:PARAM_CHARACTERS]) for name, text in flat.items() if name not in run.data.params]
    for start in range(0, len(new), PARAMS_PER_BATCH):
        client.log_batch(run.info.run_id, params=new[start : start + PARAMS_PER_BATCH])


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = str(value)
    return flat


def _send_steps(client: MlflowClient, run: Run, record: RunRecord) -> None:
    from mlflow.entities import Metric

    values = [(name, int(line["step"]), value) for line in record.metrics for name, value in line.items()]
    values = [entry for entry in values if entry[0] != "step" and isinstance(entry[2], int | float)]
    present = {name: _steps(client, run, name) for name in {name for name, _, _ in values} & set(run.data.metrics)}
    stamp = _now()
    new = [Metric(name, float(v), stamp, step) for name, step, v in values if step not in present.get(name, ())]
    for start in range(0, len(new), METRICS_PER_BATCH):
        client.log_batch(run.info.run_id, metrics=new[start : start + METRICS_PER_BATCH])


def _steps(client: MlflowClient, run: Run, name: str) -> set[int]:
    return {metric.step for metric in client.get_metric_history(run.info.run_id, name)}


def _send_scores(client: MlflowClient, run: Run, record: RunRecord) -> None:
    """Scores as metrics <benchmark>.<metric>, .low and .high; a changed score is the next step of its metric."""
    from mlflow.entities import Metric

    values = _score_values(record.scores)
    new = [name for name, value in values.items() if not _same(run.data.metrics.get(name), value)]
    steps = {name: len(_steps(client, run, name)) if name in run.data.metrics else 0 for name in new}
    metrics = [Metric(name, values[name], _now(), steps[name]) for name in new]
    if metrics:
        client.log_batch(run.info.run_id, metrics=metrics)


def _score_values(scores: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    values: dict[str, float] = {}
    for score in scores:
        for metric, entry in score["metrics"].items():
            name = f"{score['benchmark']}.{metric}"
            values |= {name: entry["value"], f"{name}.low": entry["low"], f"{name}.high": entry["high"]}
    return {name: float(value) for name, value in values.items() if value is not None}


def _same(old: float | None, new: float) -> bool:
    return old is not None and (old == new or (math.isnan(old) and math.isnan(new)))


def _tags(record: RunRecord) -> dict[str, str]:
    names = (
        "world",
        "data",
        "arm",
        "method",
        "seed",
        "commit",
        "trainable_llm",
        "trainable_connector",
        "trainable_all",
    )
    sizes = ("adapter_bytes", "runtime_seconds", "peak_memory_bytes")
    return {name: str(record.manifest[name]) for name in names + sizes if record.manifest.get(name) is not None}


def _send_tags(client: MlflowClient, run: Run, tags: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag

    new = [RunTag(name, value) for name, value in tags.items() if run.data.tags.get(name) != value]
    if new:
        client.log_batch(run.info.run_id, tags=new)


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
        ended = _milliseconds(record.manifest.get("finished"))
        client.set_terminated(run.info.run_id, status=status, end_time=ended)


def _milliseconds(moment: object) -> int | None:
    """A manifest's moment (seconds since 1970 or ISO text) in MLflow's milliseconds."""
    if isinstance(moment, int | float):
        return int(moment * 1000)
    return int(datetime.fromisoformat(moment).timestamp() * 1000) if isinstance(moment, str) and moment else None


def _now() -> int:
    return time.time_ns() // 1_000_000
