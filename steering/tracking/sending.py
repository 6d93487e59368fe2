"""What a run is told of in MLflow, each part sent once: what is there already is not sent again."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steering.manifest import digest, sha256_file
from steering.tracking.record import (
    ATTENTION,
    UNSCORED,
    DataInput,
    RunRecord,
    flat,
    layer_lines,
    milliseconds,
    score_values,
    step_values,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

METRICS_PER_BATCH = 1000
PARAMS_PER_BATCH = 100
PARAM_CHARACTERS = 6000
SENT_ARTIFACTS = "steering.artifacts"
SENT_CURVES = "steering.attention"
CONTEXT = "mlflow.data.context"


def send_params(client: MlflowClient, run: Run, record: RunRecord) -> None:
    from mlflow.entities import Param

    told = flat(record.manifest.get("settings") or {})
    new = [Param(name, text[:PARAM_CHARACTERS]) for name, text in told.items() if name not in run.data.params]
    for start in range(0, len(new), PARAMS_PER_BATCH):
        client.log_batch(run.info.run_id, params=new[start : start + PARAMS_PER_BATCH])


def send_steps(client: MlflowClient, run: Run, lines: Sequence[Mapping[str, Any]]) -> None:
    names = {name for line in lines for name in line} & set(run.data.metrics)
    present = {name: steps(client, run, name) for name in names}
    send_lines(client, run.info.run_id, lines, present)


def send_lines(
    client: MlflowClient, run_id: str, lines: Sequence[Mapping[str, Any]], present: Mapping[str, Collection[int]]
) -> None:
    """Add what *lines* hold beyond the steps that are *present* of each name: MLflow appends a repeated step."""
    from mlflow.entities import Metric

    now = _now()
    new = [
        Metric(name, value, milliseconds(line.get("time")) or now, step)
        for line in lines
        for name, step, value in step_values([line])
        if step not in present.get(name, ())
    ]
    for start in range(0, len(new), METRICS_PER_BATCH):
        client.log_batch(run_id, metrics=new[start : start + METRICS_PER_BATCH])


def steps(client: MlflowClient, run: Run, name: str) -> set[int]:
    """The steps that *run* has of the metric *name*."""
    return {metric.step for metric in client.get_metric_history(run.info.run_id, name)}


def send_scores(client: MlflowClient, run: Run, record: RunRecord) -> None:
    """A changed score is the next step of its metric."""
    from mlflow.entities import Metric

    values = score_values(record.scores)
    new = [name for name, value in values.items() if not _same(run.data.metrics.get(name), value)]
    told = {name: len(steps(client, run, name)) if name in run.data.metrics else 0 for name in new}
    metrics = [Metric(name, values[name], _now(), told[name]) for name in new]
    if metrics:
        client.log_batch(run.info.run_id, metrics=metrics)


def _same(old: float | None, new: float) -> bool:
    return old is not None and (old == new or (math.isnan(old) and math.isnan(new)))


def send_tags(client: MlflowClient, run: Run, tags: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag

    new = [RunTag(name, value) for name, value in tags.items() if run.data.tags.get(name) != value]
    if new:
        client.log_batch(run.info.run_id, tags=new)


def drop_reasons(client: MlflowClient, run: Run, record: RunRecord) -> None:
    """Take away why a benchmark had no score once it has one."""
    kept = record.tags()
    for name in run.data.tags:
        if name.startswith(UNSCORED) and name not in kept:
            client.delete_tag(run.info.run_id, name)


def send_attention(client: MlflowClient, run: Run, record: RunRecord) -> None:
    """The curves by layer, once. MLflow keeps every value of a step: what is measured anew is a section of its own."""
    lines = layer_lines(record.attention)
    sent: list[str] = json.loads(run.data.tags.get(SENT_CURVES, "[]"))
    if not lines or (total := digest(lines)) in sent:
        return
    if sent:
        section = f"{ATTENTION.rstrip('/')}_{len(sent) + 1}/"
        lines = [{name.replace(ATTENTION, section): value for name, value in line.items()} for line in lines]
    send_steps(client, run, lines)
    client.set_tag(run.info.run_id, SENT_CURVES, json.dumps([*sent, total]))


def send_datasets(client: MlflowClient, run: Run, datasets: Sequence[DataInput]) -> None:
    inputs = run.inputs.dataset_inputs if run.inputs else ()
    present = {(known.dataset.name, known.dataset.digest) for known in inputs}
    new = [told for told in datasets if (told.name, told.digest) not in present]
    if new:
        _log_inputs(client, run, new)


def _log_inputs(client: MlflowClient, run: Run, datasets: Sequence[DataInput]) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = [
        DatasetInput(
            Dataset(told.name, told.digest, source_type="local", source=json.dumps({"uri": told.path.as_posix()})),
            [InputTag(CONTEXT, told.context)],
        )
        for told in datasets
    ]
    _twice(lambda: client.log_inputs(run.info.run_id, inputs))


def _twice(write: Callable[[], object]) -> None:
    """Write, and again where another process writes the same in the same moment: a database takes only one of them."""
    from mlflow.exceptions import MlflowException

    try:
        write()
    except MlflowException:
        write()


def send_artifacts(client: MlflowClient, run: Run, paths: Sequence[Path]) -> None:
    """Send files and folders, but for those of which the run's tag says that these very bytes are there already."""
    sent: dict[str, str] = json.loads(run.data.tags.get(SENT_ARTIFACTS, "{}"))
    sums = {path: _sum(path) for path in paths}
    new = {path: total for path, total in sums.items() if sent.get(path.name) != total}
    for path in new:
        if path.is_dir():
            client.log_artifacts(run.info.run_id, str(path), artifact_path=path.name)
        else:
            client.log_artifact(run.info.run_id, str(path))
    if new:
        told = json.dumps(sent | {path.name: total for path, total in new.items()})
        _twice(lambda: client.set_tag(run.info.run_id, SENT_ARTIFACTS, told))


def _sum(path: Path) -> str:
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return digest({file.relative_to(path).as_posix(): sha256_file(file) for file in files})


def finish(client: MlflowClient, run: Run, record: RunRecord) -> None:
    status = "FAILED" if record.state == "failed" else "FINISHED"
    if run.info.status != status:
        ended = milliseconds(record.manifest.get("finished"))
        client.set_terminated(run.info.run_id, status=status, end_time=ended)


def _now() -> int:
    return time.time_ns() // 1_000_000
