"""Live tracking shows a training while it goes on, in the run that the upload finds later, and costs no run time."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from steering.errors import SteeringError
from steering.tracking import MetricsLog, RunRecord, TrackingError, live, read_metrics, upload, upload_table
from steering.tracking.live import END_SECONDS, Follower, Tail, accompany, following
from tests.tracking.servers import until


class StopError(SteeringError):
    exit_code = 75


def manifest(arm: str) -> dict[str, Any]:
    return {
        "run": f"embedded/mix/{arm}/seed0",
        "world": "embedded",
        "data": "mix",
        "arm": arm,
        "seed": 0,
        "settings": {"method": "mores", "rank": 1},
        "inputs": {"base": "abc"},
        "started": "2026-01-02T03:04:05+00:00",
    }


def write(path: Path, steps: range, *, resume_step: int | None = None) -> None:
    with MetricsLog(path, resume_step=resume_step) as log:
        for step in steps:
            log.log(step, loss=1 / step, seconds=0.1)


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


def shown(uri: str, arm: str) -> list[Run]:
    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name("embedded")
    return client.search_runs([found.experiment_id], filter_string=f"tags.arm = '{arm}'") if found else []


def steps(uri: str, run: Run, name: str = "loss") -> list[int]:
    return [metric.step for metric in MlflowClient(tracking_uri=uri).get_metric_history(run.info.run_id, name)]


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


# when it is sent


def attempts(faults: list[Exception | None]) -> tuple[list[float], list[str | None]]:
    """The pauses before, and the statuses of, as many attempts as there are *faults*."""
    pauses: list[float] = []
    statuses: list[str | None] = []

    def told(pause: float) -> str | None:
        pauses.append(pause)
        return "FINISHED" if len(pauses) == len(faults) else None

    def catch_up(status: str | None) -> None:
        statuses.append(status)
        if fault := faults[len(statuses) - 1]:
            raise fault

    accompany(catch_up, told, every=5)
    return pauses, statuses


def test_pauses_grow_while_a_server_fails_and_shrink_when_it_answers() -> None:
    fault = TrackingError("dead")
    pauses, statuses = attempts([None, fault, fault, fault, fault, fault, fault, None, None])
    assert pauses == [0, 5, 10, 20, 40, 60, 60, 60, 5]
    assert statuses == [None] * 8 + ["FINISHED"]


def test_only_the_first_fault_is_told_and_text_of_others_never(capsys: pytest.CaptureFixture[str]) -> None:
    attempts([RuntimeError("secret"), TrackingError("dead"), None, TrackingError("dead again")])
    told = capsys.readouterr().err
    assert told == "live tracking: RuntimeError; training goes on, its metrics.jsonl is kept\n"


# around a training


@pytest.mark.parametrize("uri", [None, "", "sqlite:///mlflow.db", "mlruns", "databricks"])
def test_without_a_server_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str | None) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(subprocess, "Popen", None)
    with following(tmp_path / "metrics.jsonl", {}, uri=uri):
        pass


def test_of_several_processes_the_first_alone_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(subprocess, "Popen", None)
    with following(tmp_path / "metrics.jsonl", {}, uri="http://127.0.0.1:1"):
        pass


def test_a_machine_that_starts_no_child_trains_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no memory")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with following(tmp_path / "metrics.jsonl", {}, uri="http://127.0.0.1:1"):
        pass
    assert capsys.readouterr().err == "live tracking: no memory; training goes on without\n"


@pytest.fixture
def dead() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://user:secret@127.0.0.1:{free.getsockname()[1]}"


def test_a_dead_server_is_told_of_once_without_its_password_and_never_waited_for(
    tmp_path: Path, dead: str, capfd: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    with following(tmp_path / "metrics.jsonl", manifest("dead"), uri=dead, every_seconds=0.2):
        entered = time.monotonic() - began
        time.sleep(2)
    assert entered < 0.5 and time.monotonic() - began < 3
    told = capfd.readouterr().err
    assert told.count("\n") == 1 and "no tracking server answers" in told and "secret" not in told


def test_no_connection_no_import_of_mlflow(tmp_path: Path, dead: str) -> None:
    program = f"""
import sys
from pathlib import Path
from steering.tracking import TrackingError
from steering.tracking.live import Follower, RunRecord
try:
    Follower(Path({str(tmp_path)!r}), RunRecord({manifest("dead")!r}), {dead!r}).catch_up()
except TrackingError:
    sys.exit("mlflow" in sys.modules)
sys.exit(2)
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_a_server_that_never_answers_delays_the_end_by_seconds_at_most(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        uri = f"http://user:secret@127.0.0.1:{mute.getsockname()[1]}"
        with following(tmp_path / "metrics.jsonl", manifest("mute"), uri=uri, every_seconds=0.2):
            time.sleep(3)
            ending = time.monotonic()
        assert time.monotonic() - ending < END_SECONDS + 1
    assert "secret" not in capfd.readouterr().err


def test_a_server_that_dies_half_way_is_told_of_once_and_the_training_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dying = socket.create_server(("127.0.0.1", 0))
    uri = f"http://user:secret@127.0.0.1:{dying.getsockname()[1]}"
    with following(tmp_path / "metrics.jsonl", manifest("dying"), uri=uri, every_seconds=0.2):
        dying.accept()[0].close()  # the first connection succeeds, and then there is nobody
        dying.close()
        told = ""
        end = time.monotonic() + 120
        while not told and time.monotonic() < end:
            time.sleep(0.2)
            told += capfd.readouterr().err
        time.sleep(1)
        ending = time.monotonic()
    assert time.monotonic() - ending < END_SECONDS + 1
    told += capfd.readouterr().err
    assert told.count("training goes on") == told.count("\n") == 1 and "secret" not in told


def test_an_error_of_the_training_comes_out_as_it_is(tmp_path: Path, dead: str) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        following(tmp_path / "metrics.jsonl", manifest("dead"), uri=dead),
    ):
        _ = 1 / 0


# with a real server


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "status"),
    [(None, "FINISHED"), (ValueError, "FAILED"), (StopError, "KILLED"), (KeyboardInterrupt, "KILLED")],
)
def test_a_server_shows_a_training_while_it_goes_on_and_how_it_ended(
    server: str, tmp_path: Path, error: type[BaseException] | None, status: str
) -> None:
    log, arm = tmp_path / "metrics.jsonl", error.__name__ if error else "well"
    try:
        with following(log, manifest(arm), uri=server, every_seconds=0.3):
            write(log, range(1, 4))
            until(lambda: [run for run in shown(server, arm) if steps(server, run) == [1, 2, 3]], seconds=120)
            assert shown(server, arm)[0].info.status == "RUNNING"
            write(log, range(4, 6))
            if error:
                raise error
    except (ValueError, StopError, KeyboardInterrupt) as raised:
        assert type(raised) is error
    (run,) = shown(server, arm)
    assert (run.info.status, steps(server, run)) == (status, [1, 2, 3, 4, 5])


TRAINING = """
import sys, time
from pathlib import Path
from steering.metrics_log import MetricsLog
from steering.tracking.live import following
log = Path(sys.argv[1])
with following(log, {manifest!r}, uri={uri!r}, every_seconds=0.3), MetricsLog(log, resume_step=2) as metrics:
    for step in range(3, 6):
        metrics.log(step, loss=1.0)
    time.sleep(600)
"""


@pytest.mark.slow
def test_a_training_that_is_killed_is_told_by_its_child_and_taken_over(server: str, tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    for _ in range(2):
        program = TRAINING.format(manifest=manifest("killed"), uri=server)
        training = subprocess.Popen([sys.executable, "-c", program, str(log)])
        until(lambda: [r for r in shown(server, "killed") if r.info.status == "RUNNING"], seconds=120)
        until(lambda: steps(server, shown(server, "killed")[0]) == [3, 4, 5], seconds=120)
        training.kill()
        training.wait()
        until(lambda: shown(server, "killed")[0].info.status == "KILLED", seconds=120)
    assert len(shown(server, "killed")) == 1


@pytest.mark.slow
def test_a_training_killed_together_with_its_child_is_ended_at_the_next_upload(server: str, tmp_path: Path) -> None:
    program = TRAINING.format(manifest=manifest("orphaned"), uri=server)
    training = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "metrics.jsonl")])
    until(lambda: [r for r in shown(server, "orphaned") if steps(server, r) == [3, 4, 5]], seconds=120)
    (child,) = psutil.Process(training.pid).children()
    child.send_signal(signal.SIGSTOP)  # so that it cannot tell of the other's end
    training.kill()
    training.wait()
    child.kill()
    time.sleep(1)
    assert shown(server, "orphaned")[0].info.status == "RUNNING"
    upload_table([], tracking_uri=server, experiment="another", world="embedded")
    (run,) = shown(server, "orphaned")
    assert run.info.status == "KILLED"
    assert run.info.end_time <= time.time() * 1000
