"""What a run trained is one version of its arm in MLflow's registry: with signature and sums, without the bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import Model

from steering.tracking import RunRecord, TrackingError, upload
from steering.tracking.record import Weights
from tests.tracking.shown import TABLE, made_up


def versions(client: MlflowClient, record: RunRecord) -> list[ModelVersion]:
    name = f"embedded-mix-{record.manifest['arm']}"
    return sorted(client.search_model_versions(f"name = '{name}'"), key=lambda version: int(version.version))


def described(version: ModelVersion) -> Model:
    return Model.load(urlsplit(version.source).path + "/MLmodel")


def test_a_version_tells_signature_sums_and_base_and_holds_no_weights(
    client: MlflowClient, uri: str, tmp_path: Path
) -> None:
    record = made_up(tmp_path, "kept")
    run = upload(record, tracking_uri=uri, experiment=TABLE)
    (version,) = versions(client, record)
    assert (version.run_id, version.status) == (run, "READY")
    assert (
        version.tags.items()
        >= {
            "base_hash": "ba5e",
            "path": "checkpoints/runs/embedded/mix/kept/seed0",
            "sha256.adapter/adapter_model.safetensors": "6b65707430",
        }.items()
    )
    (file,) = client.list_logged_model_artifacts(client.get_run(run).outputs.model_outputs[0].model_id)
    assert file.path == "MLmodel" and file.file_size < 4000
    told = described(version)
    assert told.signature.inputs.input_names() == ["prompt", "picture"]
    assert told.signature.outputs.input_names() == ["answer"]
    assert told.flavors["steering_adapter"]["base_hash"] == "ba5e"


def test_tables_share_a_model_and_other_weights_are_the_next_version(
    client: MlflowClient, uri: str, tmp_path: Path
) -> None:
    record = made_up(tmp_path, "shared_weights")
    runs = [upload(record, tracking_uri=uri, experiment=table) for table in ("table1", "table2")]
    (version,) = versions(client, record)
    made = [{output.model_id for output in client.get_run(run).outputs.model_outputs} for run in runs]
    assert made[0] == made[1] and len(made[0]) == 1
    other = made_up(tmp_path, "shared_weights", seed=1)
    upload(other, tracking_uri=uri, experiment=TABLE)
    assert [told.version for told in versions(client, other)] == [version.version, version.version + 1]


def test_where_dvc_remembers_the_weights_is_added_once_it_does(client: MlflowClient, uri: str, tmp_path: Path) -> None:
    record = made_up(tmp_path, "recorded")
    upload(record, tracking_uri=uri, experiment=TABLE)
    upload(replace(record, recorded={"dvc_md5": "abc.dir"}), tracking_uri=uri, experiment=TABLE)
    (version,) = versions(client, record)
    assert version.tags["dvc_md5"] == "abc.dir"


@pytest.mark.parametrize("cut", ["log_model_artifacts", "log_outputs", "create_model_version"])
def test_an_upload_cut_short_is_completed_by_the_next(
    client: MlflowClient, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    record = made_up(tmp_path, f"cut_{cut}")
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, cut, broken)
        with pytest.raises(TrackingError):
            upload(record, tracking_uri=uri, experiment=TABLE)
    run = upload(record, tracking_uri=uri, experiment=TABLE)
    (version,) = versions(client, record)
    (output,) = client.get_run(run).outputs.model_outputs
    assert client.get_logged_model(output.model_id).status == "READY"
    assert described(version).signature


def broken(*_: object, **__: object) -> None:
    raise OSError("cut off")


def test_a_run_without_weights_registers_nothing(client: MlflowClient, uri: str, tmp_path: Path) -> None:
    record = replace(made_up(tmp_path, "bare"), weights=None)
    upload(record, tracking_uri=uri, experiment=TABLE)
    assert versions(client, record) == []


def test_weights_are_known_by_their_sums_alone() -> None:
    one = Weights(Path("a"), {"x": "1", "y": "2"}, {})
    assert one.digest == Weights(Path("b"), {"y": "2", "x": "1"}, {"base_hash": "0"}).digest
    assert one.digest != Weights(Path("a"), {"x": "1", "y": "3"}, {}).digest
