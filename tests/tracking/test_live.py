"""Live tracking shows a training while it goes on, in the run that the upload finds later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from steering.tracking import RunRecord, TrackingError, live, read_metrics, upload
from steering.tracking.live import Follower, Tail
from tests.tracking.followed import manifest, shown, steps, write

# reading the log


def test_a_line_is_read_once_and_only_when_it_is_complete(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "metrics.jsonl")
    assert tail.lines() == []
    write(tail.path, range(1, 3))
    with tail.path.open("a") as file:
        file.write('{"step": 3, "lo')
    assert [line["step"] for line in tail.lines()] == [1, 2]
    assert tail.lines() == []
    with tail.path.open("a") as file:
        file.write('ss": 1.0}\nrubbish\n{"step": 4}\n')
    assert [line["step"] for line in tail.lines()] == [3, 4]
    assert not tail.replaced


def test_a_log_that_a_resume_made_shorter_is_another_file(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "metrics.jsonl")
    write(tail.path, range(1, 6))
    tail.lines()
    write(tail.path, range(3, 4), resume_step=2)
    assert tail.replaced


# what MLflow shows


def test_a_run_is_shown_running_and_then_hung_below_its_table_with_nothing_twice(uri: str, tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    follower = Follower(log, RunRecord(manifest("first")), uri)
    follower.catch_up()
    for end in (3, 6):
        write(log, range(end - 2, end + 1))
        follower.catch_up()
    (run,) = shown(uri, "first")
    assert (run.info.status, run.info.run_name, steps(uri, run)) == ("RUNNING", "first/seed0", [1, 2, 3, 4, 5, 6])
    assert run.data.params == {"method": "mores", "rank": "1"}
    assert "mlflow.parentRunId" not in run.data.tags
    follower.catch_up("FINISHED")

    finished = RunRecord(manifest("first") | {"finished": "2026-01-02T03:09:05+00:00"}, metrics=read_metrics(log))
    for _ in range(2):
        assert upload(finished, tracking_uri=uri, experiment="table1") == run.info.run_id
    (after,) = shown(uri, "first")
    assert (after.info.status, steps(uri, after), steps(uri, after, "seconds")) == (
        "FINISHED",
        [1, 2, 3, 4, 5, 6],
        [1, 2, 3, 4, 5, 6],
    )
    parent = MlflowClient(tracking_uri=uri).get_run(after.data.tags["mlflow.parentRunId"])
    assert parent.info.run_name == "table1"


def test_a_second_table_has_a_run_of_its_own_and_a_new_training_makes_no_third(uri: str, tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    write(log, range(1, 4))
    finished = RunRecord(manifest("shared"), metrics=read_metrics(log))
    ids = {upload(finished, tracking_uri=uri, experiment=table) for table in ("table1", "table2")}
    assert len(ids) == 2
    follower = Follower(log, RunRecord(manifest("shared")), uri)
    follower.catch_up()
    assert sorted(run.info.status for run in shown(uri, "shared")) == ["FINISHED", "RUNNING"]
    follower.catch_up("FINISHED")
    assert {run.info.run_id for run in shown(uri, "shared")} == ids
    assert all(steps(uri, run) == [1, 2, 3] for run in shown(uri, "shared"))


@pytest.mark.parametrize("left", [None, "KILLED", "FAILED"])
def test_the_next_attempt_takes_the_run_over_and_repeats_no_step(uri: str, tmp_path: Path, left: str) -> None:
    log, arm = tmp_path / "metrics.jsonl", f"resumed_{left}"
    write(log, range(1, 8))
    Follower(log, RunRecord(manifest(arm)), uri).catch_up(left)
    assert shown(uri, arm)[0].info.status == (left or "RUNNING")

    follower = Follower(log, RunRecord(manifest(arm)), uri)
    follower.catch_up()  # before the training has dropped the steps it does again
    write(log, range(5, 7), resume_step=4)
    follower.catch_up()
    write(log, range(7, 10))
    follower.catch_up()
    (run,) = shown(uri, arm)
    assert (run.info.status, steps(uri, run)) == ("RUNNING", list(range(1, 10)))


def test_other_inputs_are_another_run(uri: str, tmp_path: Path) -> None:
    for inputs in ({"base": "abc"}, {"base": "def"}):
        told = RunRecord(manifest("inputs") | {"inputs": inputs})
        Follower(tmp_path / "metrics.jsonl", told, uri).catch_up()
    assert len(shown(uri, "inputs")) == 2


def test_an_arm_with_a_like_name_is_another_run(uri: str, tmp_path: Path) -> None:
    for arm in ("mores_b", "moresxb"):
        Follower(tmp_path / "metrics.jsonl", RunRecord(manifest(arm)), uri).catch_up()
    assert len(shown(uri, "mores_b")) == len(shown(uri, "moresxb")) == 1


def test_after_a_fault_the_server_is_asked_what_arrived(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, follow = tmp_path / "metrics.jsonl", live.follow

    def lost(*arguments: Any, **named: Any) -> None:
        follow(*arguments, **named)
        raise TrackingError("the answer was lost")

    follower = Follower(log, RunRecord(manifest("lost")), uri)
    write(log, range(1, 4))
    monkeypatch.setattr(live, "follow", lost)
    with pytest.raises(TrackingError):
        follower.catch_up()
    monkeypatch.setattr(live, "follow", follow)
    write(log, range(4, 6))
    follower.catch_up()
    (run,) = shown(uri, "lost")
    assert steps(uri, run) == [1, 2, 3, 4, 5]
