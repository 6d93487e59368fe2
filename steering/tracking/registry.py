"""What a run trained as a model of MLflow, without its bytes: those are DVC's.

A model of MLflow 3 wants a folder of artifacts, and a version in its registry a source. Logging weights there would
keep every byte twice and let the two drift apart; a registered version over an empty source shows no signature. So
the model holds one file of a kilobyte, MLmodel, which the registry reads for the signature and which says in a flavour
of our own, `steering_adapter`, where the weights lie, their sha256 and the base they belong to. It is no pyfunc:
loading needs the base model and its pictures, which `steering.methods.adapters.load_adapter` takes and checks.

A model is known by the digest of its files of weights: tables that share a run share its model, sending again finds
it, and weights trained anew are the next version of WORLD-DATA-ARM.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from steering.tracking.record import RunRecord, Weights

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run

DIGEST = "weights_digest"
FLAVOUR = "steering_adapter"
FILE = "MLmodel"
INPUTS, OUTPUTS = {"prompt": True, "picture": False}, {"answer": True}  # name -> whether it must be given


def register(client: MlflowClient, run: Run, record: RunRecord) -> None:
    """Show the weights of *record* as a model that *run* made and as a version of its arm, each once."""
    weights = record.weights
    if weights is None:
        return
    tags = _tags(record, weights)
    model = _logged(client, run, record, tags)
    if model.model_id not in {made.model_id for made in (run.outputs.model_outputs if run.outputs else ())}:
        _link(client, run, model)
    _version(client, run, record, model, tags)


def _tags(record: RunRecord, weights: Weights) -> dict[str, str]:
    """All by which the weights are found and checked."""
    base = {"base_hash": "base_hash", "hidden": "base_hidden", "layers": "base_layers"}
    told = {DIGEST: weights.digest, "path": weights.folder.as_posix(), "run": str(record.manifest["run"])}
    told |= {f"sha256.{name}": total for name, total in weights.sums.items()}
    told |= {name: str(weights.base[key]) for key, name in base.items() if key in weights.base}
    return (
        told
        | {"method": str(record.manifest.get("method")), "seed": str(record.manifest["seed"])}
        | dict(record.recorded)
    )


def _logged(client: MlflowClient, run: Run, record: RunRecord, tags: Mapping[str, str]) -> LoggedModel:
    found = client.search_logged_models([run.info.experiment_id], filter_string=f"tags.`{DIGEST}` = '{tags[DIGEST]}'")
    model = found[0] if found else _made(client, run, record, tags)
    if new := {name: value for name, value in tags.items() if model.tags.get(name) != value}:
        client.set_logged_model_tags(model.model_id, new)
    if str(model.status) != "READY":  # made by an attempt that got no further
        _send_description(client, model, tags)
    return model


def _made(client: MlflowClient, run: Run, record: RunRecord, tags: Mapping[str, str]) -> LoggedModel:
    name = f"{record.manifest['arm']}_seed{record.manifest['seed']}"
    kind = str(record.manifest.get("method"))
    return client.create_logged_model(run.info.experiment_id, name, run.info.run_id, dict(tags), model_type=kind)


def _send_description(client: MlflowClient, model: LoggedModel, tags: Mapping[str, str]) -> None:
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, Schema

    def schema(columns: Mapping[str, bool]) -> Schema:
        return Schema([ColSpec("string", name, required=needed) for name, needed in columns.items()])

    told = Model(run_id=model.source_run_id, signature=ModelSignature(schema(INPUTS), schema(OUTPUTS)))
    told.add_flavor(FLAVOUR, **tags)
    with tempfile.TemporaryDirectory() as folder:
        told.save(str(Path(folder) / FILE))
        client.log_model_artifacts(model.model_id, folder)
    client.finalize_logged_model(model.model_id, "READY")


def _link(client: MlflowClient, run: Run, model: LoggedModel) -> None:
    from mlflow.entities import LoggedModelOutput

    client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, step=0)])


def _version(client: MlflowClient, run: Run, record: RunRecord, model: LoggedModel, tags: Mapping[str, str]) -> None:
    name = "-".join(str(record.manifest[part]) for part in ("world", "data", "arm"))
    for version in client.search_model_versions(f"name = '{name}'"):
        if version.tags.get(DIGEST) == tags[DIGEST]:
            for key, value in tags.items():
                if version.tags.get(key) != value:
                    client.set_model_version_tag(name, version.version, key, value)
            return
    _have_name(client, name)
    client.create_model_version(
        name, model.artifact_location, run.info.run_id, tags=dict(tags), model_id=model.model_id, await_creation_for=0
    )


def _have_name(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as fault:
        if fault.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
