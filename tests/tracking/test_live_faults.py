"""Live tracking costs a training no time and no error, whatever its server does."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from steering.tracking import TrackingError
from steering.tracking.live import END_SECONDS, accompany, following
from tests.tracking.followed import manifest

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
