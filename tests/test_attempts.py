"""Who works on a job is told while it runs, why it failed afterwards, and nothing once it is done."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from steering import layout
from steering.attempts import Attempt, alive, last_attempt, recorded
from steering.errors import DataError
from steering.slurm import own_slurm_job

SLICE = Path(".store/slices/tune/abc.json")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("STEERING_CHILD", "SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name, raising=False)


def test_it_is_running_within_the_block_and_gone_after_it():
    with recorded(SLICE):
        attempt = last_attempt("tune", "abc")
        assert attempt and attempt.pid == os.getpid()
        assert attempt.standing({}) == "running"
    assert last_attempt("tune", "abc") is None


def test_a_fault_is_kept_in_its_own_words_with_its_code():
    with pytest.raises(DataError), recorded(SLICE):
        raise DataError("pictures/1.png: cut short")
    attempt = last_attempt("tune", "abc")
    assert attempt
    assert (attempt.fault, attempt.exit_code, attempt.standing({})) == ("pictures/1.png: cut short", 2, "failed")


def test_a_fault_of_ours_tells_its_kind():
    with pytest.raises(KeyError), recorded(SLICE):
        raise KeyError("arm")
    attempt = last_attempt("tune", "abc")
    assert attempt and attempt.fault == "KeyError: 'arm'"


def test_the_next_attempt_takes_the_failed_one_s_place():
    with pytest.raises(DataError), recorded(SLICE):
        raise DataError("no")
    with recorded(SLICE):
        pass
    assert last_attempt("tune", "abc") is None


def test_children_of_a_job_tell_nothing(monkeypatch):
    monkeypatch.setenv("STEERING_CHILD", "1")
    with recorded(SLICE):
        assert last_attempt("tune", "abc") is None


def test_a_process_that_was_killed_has_vanished():
    code = (
        "import os; from pathlib import Path; from steering.attempts import recorded\n"
        f"with recorded(Path('{SLICE}')): os.kill(os.getpid(), 9)"
    )
    root = str(Path(__file__).resolve().parent.parent)
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": root})
    attempt = last_attempt("tune", "abc")
    assert attempt and attempt.standing({}) == "vanished"


def test_another_process_with_the_same_number_is_not_taken_for_it():
    own = Attempt.here()
    assert alive(own.host, own.pid, own.born)
    assert not alive(own.host, own.pid, own.born - 60)


@pytest.mark.parametrize(
    ("states", "standing"),
    [({"7_2": "RUNNING"}, "running"), ({"7_2": "FAILED"}, "vanished"), ({}, "vanished"), (None, "running")],
)
def test_slurm_says_whether_a_job_of_its_still_runs(monkeypatch, states, standing):
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    assert own_slurm_job() == "7_2"
    assert Attempt.here().standing(states) == standing


def test_a_broken_record_is_none(tmp_path):
    path = layout.attempt("tune", "abc")
    path.parent.mkdir(parents=True)
    for text in ("", "[]", '{"host": "h"}', "{"):
        path.write_text(text)
        assert last_attempt("tune", "abc") is None
