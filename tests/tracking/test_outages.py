"""Whenever a server fails, a later upload makes what it holds equal to the files, and nothing is there twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from steering.tracking import MetricsLog, RunRecord, TrackingError, upload
from steering.tracking.live import Follower
from tests.tracking.road import Road, road
from tests.tracking.shown import TABLE, WORLD, differences, made_up

pytestmark = pytest.mark.slow


@pytest.fixture
def way(server: str) -> Iterator[Road]:
    with road(server) as made:
        yield made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")


def write(path: Path, record: RunRecord, steps: slice) -> None:
    with MetricsLog(path) as log:
        for line in record.metrics[steps]:
            log.log(int(line["step"]), **{name: value for name, value in line.items() if name != "step"})


def held(server: str, record: RunRecord) -> list[str]:
    """Where the one run of the record's arm differs from it."""
    client = MlflowClient(server)
    experiment = client.get_experiment_by_name(WORLD)
    assert experiment
    arm = record.manifest["arm"]
    (run,) = client.search_runs([experiment.experiment_id], filter_string=f"tags.arm = '{arm}'")
    return differences(client, run.info.run_id, record)


@pytest.mark.parametrize("followed", [0, 10])
def test_a_server_that_is_gone_from_some_step_on_is_told_the_rest_later(
    server: str, way: Road, tmp_path: Path, followed: int
) -> None:
    record, log = made_up(tmp_path, f"gone_from_{followed}"), tmp_path / "metrics.jsonl"
    follower = Follower(log, RunRecord(record.manifest), way.uri)
    if followed:
        write(log, record, slice(0, followed))
        follower.catch_up()
    way.close()
    write(log, record, slice(followed, None))
    with pytest.raises(TrackingError):
        follower.catch_up("FINISHED")
    upload(record, tracking_uri=server, experiment=TABLE)
    assert held(server, record) == []


@pytest.mark.parametrize("answers", [2, 6, 11, 17, 24])
def test_an_upload_cut_off_after_any_answer_is_completed_by_the_next(
    server: str, way: Road, tmp_path: Path, answers: int
) -> None:
    record = made_up(tmp_path, f"cut_after_{answers}")
    way.answers_left = answers
    with pytest.raises(TrackingError):
        upload(record, tracking_uri=way.uri, experiment=TABLE)
    upload(record, tracking_uri=server, experiment=TABLE)
    assert held(server, record) == []


def test_a_slow_server_is_waited_for_by_an_upload_though_not_by_a_training(
    server: str, way: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steering.tracking.client.wait_seconds", 1)
    record = replace(made_up(tmp_path, "slow"), weights=None, artifacts=())
    way.seconds = 1.5
    with pytest.raises(TrackingError):
        Follower(tmp_path / "metrics.jsonl", RunRecord(record.manifest), way.uri).catch_up()
    upload(record, tracking_uri=way.uri, experiment=TABLE)
    assert held(server, record) == []
