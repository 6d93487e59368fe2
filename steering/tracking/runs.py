"""Which MLflow run shows what.

An MLflow experiment is a world, a parent run is a table of the paper, a child run is one arm with one seed. A run
that trains may come to serve several tables, or none, so it stands at the top of its world, where whoever opens
MLflow sees it RUNNING without unfolding a table. Its key is "no table/<record.key>" until the first upload hangs it
under its table and renames the key to "<table>/<record.key>", as if it had been made there; a further table has a
copy of its own, as ever. A training that some table shows already goes on in that run.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from steering.metrics_log import TrackingError
from steering.tracking.client import ARTIFACT_ROOT, DEFAULT_EXPERIMENT
from steering.tracking.record import RunRecord, milliseconds
from steering.tracking.sending import send_tags

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

RUN_KEY = "steering.run_key"
CLAIM = "steering.claim"  # on a run whose maker does not know yet that it is the only one of its key
NO_TABLE = "no table"  # a blank, which no table's name has
ATTEMPTS = 20
LONGEST_PAUSE_SECONDS = 1.0


def experiment_of(client: MlflowClient, world: str) -> str:
    """The id of the MLflow experiment that is *world*; made where there is none."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(world)
    if found is not None:
        return str(found.experiment_id)
    root = client.get_experiment(DEFAULT_EXPERIMENT).tags.get(ARTIFACT_ROOT)
    try:
        return str(client.create_experiment(world, f"{root}/{world}" if root else None))
    except MlflowException:
        found = client.get_experiment_by_name(world)  # another run, started in the same moment, was quicker
        if found is None:
            raise
        return str(found.experiment_id)


def parent_of(client: MlflowClient, world: str, table: str) -> Run:
    """The run that is *table*; made where there is none."""
    key = f"table/{table}"
    return _kept(client, experiment_of(client, world), key, {"mlflow.runName": table})


def child_of(client: MlflowClient, parent: Run, record: RunRecord) -> Run:
    """The run of *record* below *parent*: there already, or followed live and now hung there, or made."""
    experiment_id, key = parent.info.experiment_id, f"{parent.data.tags['mlflow.runName']}/{record.key}"
    tags = {"mlflow.runName": record.name, "mlflow.parentRunId": parent.info.run_id}
    if not _found(client, experiment_id, key):
        for run in _settled(_found(client, experiment_id, f"{NO_TABLE}/{record.key}"))[:1]:
            send_tags(client, run, tags | {RUN_KEY: key})
            return run
    return _kept(client, experiment_id, key, tags, started=milliseconds(record.manifest.get("started")))


def shown(client: MlflowClient, record: RunRecord) -> Run:
    """The run that shows *record*, live or below any table; made, as yet below none, if there is none."""
    experiment_id, ending = experiment_of(client, str(record.manifest["world"])), f"/{record.key}"
    found = client.search_runs([experiment_id], filter_string=f"tags.`{RUN_KEY}` LIKE '%{ending}'")
    for run in _settled(found):
        if run.data.tags[RUN_KEY].endswith(ending):  # to LIKE an underscore is any letter
            return run
    started = milliseconds(record.manifest.get("started"))
    return _kept(client, experiment_id, NO_TABLE + ending, {"mlflow.runName": record.name}, started=started)


def _kept(
    client: MlflowClient, experiment_id: str, key: str, tags: Mapping[str, str], *, started: int | None = None
) -> Run:
    """The one run of *key*, made where there is none.

    MLflow holds no name to be the only one. So whoever makes a run marks it as a claim, looks again, and settles on it
    only if it stands alone: of two that make one at once, the later sees the earlier's. Nobody else takes a claim for
    a run, since its maker may still take it back, unless it stays: then its maker is gone.
    """
    for _ in range(ATTEMPTS):
        found = _found(client, experiment_id, key)
        if len(settled := _settled(found)) == 1:
            return settled[0]
        if not found:
            claim = client.create_run(experiment_id, start_time=started, tags={**tags, RUN_KEY: key, CLAIM: "made"})
            if len(_found(client, experiment_id, key)) == 1:
                return _settle(client, claim)
            client.delete_run(claim.info.run_id)
        time.sleep(random.uniform(0, LONGEST_PAUSE_SECONDS))
    if len(found := _found(client, experiment_id, key)) == 1:
        return _settle(client, found[0])
    raise TrackingError(f"{key}: several runs of that {RUN_KEY}; delete all but one in MLflow, then send again")


def _found(client: MlflowClient, experiment_id: str, key: str) -> list[Run]:
    """The runs, claims among them, whose tag steering.run_key is *key*."""
    return list(client.search_runs([experiment_id], filter_string=f"tags.`{RUN_KEY}` = '{key}'"))


def _settled(runs: list[Run]) -> list[Run]:
    return [run for run in runs if CLAIM not in run.data.tags]


def _settle(client: MlflowClient, claim: Run) -> Run:
    client.delete_tag(claim.info.run_id, CLAIM)
    return client.get_run(claim.info.run_id)
