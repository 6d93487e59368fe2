"""A job in several processes is one job: one delivery, one exit code, and a signal reaches every process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from steering.interrupts import EXIT_CODE
from steering.train.launch import delivers, in_processes
from tests.train.launched import asked_to_stop

ROOT = Path(__file__).resolve().parents[2]


def start(how: str, folder: Path) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.train.launched", how, str(folder), "--threads", "4"],
        cwd=ROOT,
        env=environment | {"OMP_NUM_THREADS": "4"},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_one_process_works_where_it_is() -> None:
    done: list[int] = []
    in_processes({}, lambda: done.append(os.getpid()))
    assert done == [os.getpid()]
    assert delivers()


def test_a_process_of_a_launcher_starts_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    done: list[int] = []
    in_processes({"processes": 4}, lambda: done.append(os.getpid()))
    assert done == [os.getpid()]
    assert not delivers()


def test_each_process_works_with_its_share_of_threads_and_the_parent_delivers(tmp_path: Path) -> None:
    parent = start("works", tmp_path)
    assert parent.wait(120) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["delivered", "rank0", "rank1"]
    assert (tmp_path / "rank1").read_text() == f"works {tmp_path} --threads 4 --threads 2"
    assert (tmp_path / "delivered").read_text() == str(parent.pid)


def test_a_fault_ends_all_with_its_own_code_and_nothing_is_delivered(tmp_path: Path) -> None:
    parent = start("diverges", tmp_path)
    assert parent.wait(120) == 2
    assert parent.stderr is not None
    said = parent.stderr.read()
    assert "says no" in said
    assert "a process ended with code 2; its own words are above" in said
    assert not (tmp_path / "delivered").exists()


def test_a_crash_of_one_process_ends_the_job(tmp_path: Path) -> None:
    parent = start("crashes", tmp_path)
    assert parent.wait(120) == 1
    assert not (tmp_path / "delivered").exists()


def test_a_signal_to_the_parent_lets_every_process_stop_and_says_75(tmp_path: Path) -> None:
    parent = start("stops", tmp_path)
    assert asked_to_stop(parent, tmp_path) == EXIT_CODE
    assert not (tmp_path / "delivered").exists()
