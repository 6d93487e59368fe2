"""metrics.jsonl survives crashes and resumes; MLflow receives each run once, however often it is sent."""

from __future__ import annotations

import json
import socket
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest

from steering.tracking import (
    MetricsLog,
    RunRecord,
    TrackingError,
    initialise,
    read_metrics,
    take_over,
    upload,
    upload_table,
)
from steering.tracking.address import public, refuse_silence, without_secrets


def test_what_was_logged_is_read_back(tmp_path: Path) -> None:
    with MetricsLog(tmp_path / "deep" / "metrics.jsonl") as log:
        log.log(1, loss=2.5, learning_rate=1e-3)
        assert read_metrics(log.path) == [{"step": 1, "loss": 2.5, "learning_rate": 1e-3}]


def test_reopening_continues_the_history(tmp_path: Path) -> None:
    for step in (1, 2):
        with MetricsLog(tmp_path / "metrics.jsonl") as log:
            log.log(step, loss=1 / step)
    assert [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")] == [1, 2]


def test_resuming_drops_the_steps_that_will_be_done_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as log:
        for step in range(1, 8):
            log.log(step, loss=0.1 * step)
    before = path.read_text().splitlines()
    with MetricsLog(path, resume_step=4) as log:
        log.log(5, loss=9.0)
    assert path.read_text().splitlines() == [*before[:4], '{"step": 5, "loss": 9.0}']


def test_resuming_at_zero_starts_afresh(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as log:
        log.log(1, loss=1.0)
    MetricsLog(path, resume_step=0).close()
    assert read_metrics(path) == []


@pytest.mark.parametrize("torn", ['{"step": 3, "lo', '{"st', "12"])
def test_a_torn_last_line_is_left_out_and_mended(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 1.0}\n{"step": 2, "loss": 1.0}\n' + torn)
    assert [line["step"] for line in read_metrics(path)] == [1, 2]
    with MetricsLog(path) as log:
        log.log(3, loss=0.5)
    assert [line["step"] for line in read_metrics(path)] == [1, 2, 3]


def test_a_torn_line_in_the_middle_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\nrubbish\n{"step": 3}\n')
    with pytest.raises(TrackingError, match=r"metrics\.jsonl: line 2: found 'rubbish'"):
        read_metrics(path)


def test_a_missing_history_is_empty(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "none.jsonl") == []


def record(adapter: Path) -> RunRecord:
    manifest = {
        "run": "embedded/mix/mores_b/seed0",
        "world": "embedded",
        "arm": "mores_b",
        "method": "mores",
        "seed": 0,
        "settings": {"arm": {"rank": 1, "layers": "all"}, "learning_rate": 2e-3},
        "trainable_llm": 34590,
        "commit": "abc123",
        "started": "2026-01-02T03:04:05+00:00",
        "finished": "2026-01-02T03:09:05+00:00",
    }
    metrics = [{"step": step, "loss": 1 / step, "seconds": step, "note": "words"} for step in range(1, 1205)]
    scores = [{"benchmark": "icons-pope", "metrics": {"f1": {"value": 0.61, "low": 0.55, "high": float("nan")}}}]
    return RunRecord(manifest=manifest, metrics=metrics, scores=scores, artifacts=[adapter])


def dump(database: Path) -> list[str]:
    with sqlite3.connect(database) as connection:
        return list(connection.iterdump())


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mlflow")
    initialise(f"sqlite:///{folder / 'mlflow.db'}", str(folder / "artifacts"))
    return folder / "mlflow.db"


def test_uploading_twice_changes_nothing_and_a_changed_score_updates(database: Path, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{database}"
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    (tmp_path / "report.html").write_text("<p>")
    first = record(tmp_path / "adapter")
    run_id = upload(replace(first, metrics=first.metrics[:700]), tracking_uri=uri, experiment="first_light")
    assert upload(first, tracking_uri=uri, experiment="first_light") == run_id
    upload_table([tmp_path / "report.html"], tracking_uri=uri, experiment="first_light", world="embedded")

    before = dump(database)
    upload(first, tracking_uri=uri, experiment="first_light")
    upload_table([tmp_path / "report.html"], tracking_uri=uri, experiment="first_light", world="embedded")
    assert dump(database) == before

    client = MlflowClient(tracking_uri=uri)
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.info.end_time - run.info.start_time == 300_000
    assert run.data.params == {"arm.rank": "1", "arm.layers": "all", "learning_rate": "0.002"}
    assert [m.step for m in client.get_metric_history(run_id, "loss")] == list(range(1, 1205))
    assert run.data.metrics["icons-pope.f1"] == 0.61
    assert run.data.tags["trainable_llm"] == "34590"
    assert [f.path for f in client.list_artifacts(run_id, "adapter")] == ["adapter/adapter_config.json"]
    parent = client.get_run(run.data.tags["mlflow.parentRunId"])
    assert (parent.info.run_name, parent.info.status) == ("first_light", "FINISHED")
    assert [f.path for f in client.list_artifacts(parent.info.run_id)] == ["report.html"]

    lower = [{"benchmark": "icons-pope", "metrics": {"f1": {"value": 0.5, "low": 0.4, "high": 0.6}}}]
    upload(replace(first, scores=lower), tracking_uri=uri, experiment="first_light")
    assert client.get_run(run_id).data.metrics["icons-pope.f1"] == 0.5


def test_why_a_benchmark_has_no_score_is_a_tag_until_it_has_one(database: Path, tmp_path: Path) -> None:
    full = record(tmp_path)
    manifest = {**full.manifest, "run": "embedded/mix/mores_b/seed7"}
    told = replace(full, manifest=manifest, metrics=(), artifacts=())
    uri, tag = f"sqlite:///{database}", "unscored.mmvet"
    without = replace(told, unscored=[{"benchmark": "mmvet", "unscored": "no judge is set"}])
    run = upload(without, tracking_uri=uri, experiment="table")
    assert tags(database, run)[tag] == "no judge is set"
    assert upload(told, tracking_uri=uri, experiment="table") == run
    assert tag not in tags(database, run)


def tags(database: Path, run: str) -> dict[str, str]:
    with sqlite3.connect(database) as opened:
        return dict(opened.execute("select key, value from tags where run_uuid = ?", [run]))


def test_a_failed_run_is_shown_as_failed_and_other_settings_are_another_run(database: Path, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{database}"
    failed = RunRecord(
        manifest=dict(record(tmp_path).manifest, arm="lora", run="embedded/mix/lora/seed0"), state="failed"
    )
    run_id = upload(failed, tracking_uri=uri, experiment="first_light")
    assert MlflowClient(tracking_uri=uri).get_run(run_id).info.status == "FAILED"
    other = replace(failed, manifest=dict(failed.manifest, settings={"rank": 8}))
    assert upload(other, tracking_uri=uri, experiment="first_light") != run_id


def test_a_dead_server_is_given_up_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steering.tracking.client.wait_seconds", 1)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(TrackingError, match="no tracking server answers"):
        upload(RunRecord(manifest={"run": "r", "world": "w"}), tracking_uri=f"http://127.0.0.1:{port}", experiment="e")


def test_a_server_that_listens_but_never_answers_is_given_up_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steering.tracking.client.upload_wait_seconds", 1)
    started = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        uri = f"http://user:secret@127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(TrackingError) as fault:
            upload(RunRecord(manifest={"run": "r", "world": "w"}), tracking_uri=uri, experiment="e")
    assert time.monotonic() - started < 8
    assert "secret" not in json.dumps(str(fault.value))


def test_no_spelling_of_a_password_is_shown() -> None:
    uri = "http://user:pa/ss%21@host:5000/x"
    assert public(uri) == "http://host:5000/x"
    fault = "http://user:pa/ss%21@host:5000/api gave 500; pa/ss! is wrong; see http://user:other@host:5000"
    told = without_secrets(fault, uri)
    assert not [secret for secret in ("pa/ss", "other", "user") if secret in told]
    assert "gave 500" in told
    assert without_secrets("what@ever//else", "http://host:5000") == "what@ever//else"


def test_a_password_that_breaks_the_address_is_not_shown_either() -> None:
    with pytest.raises(TrackingError) as fault:
        upload(RunRecord({"run": "r", "world": "w"}), tracking_uri="http://user:pa/ss@127.0.0.1:1", experiment="e")
    assert "pa" not in str(fault.value).replace("port", "") and "127.0.0.1:1" in str(fault.value)


@pytest.mark.parametrize(("uri", "port"), [("https://host", 443), ("http://host", 80), ("https://host:5000", 5000)])
def test_a_server_is_asked_at_the_port_of_its_protocol(monkeypatch: pytest.MonkeyPatch, uri: str, port: int) -> None:
    asked = []

    def refuse(address: tuple[str, int], timeout: float) -> socket.socket:
        asked.append(address)
        raise OSError("refused")

    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(TrackingError, match="no tracking server answers"):
        refuse_silence(uri, wait_seconds=1)
    assert asked == [("host", port)]


def test_a_run_that_made_the_experiment_a_moment_earlier_is_no_fault(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{database}"
    theirs = MlflowClient(uri).create_experiment("raced")
    look, looks = MlflowClient.get_experiment_by_name, []

    def late(client: MlflowClient, name: str) -> object:
        looks.append(name)
        return look(client, name) if len(looks) > 1 else None

    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", late)
    first = record(tmp_path)
    run = take_over(RunRecord(dict(first.manifest, world="raced")), tracking_uri=uri)
    assert MlflowClient(uri).get_run(run.id).info.experiment_id == theirs
