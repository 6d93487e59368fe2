"""What SLURM says of this folder's jobs, from a stand-in for squeue."""

from __future__ import annotations

from pathlib import Path

import pytest
from programs import Program, in_front

from steering import slurm
from steering.slurm import SlurmError


def line(job: str, state: str, *, reason: str = "None", comment: str = "rule_tune_wildcards_a", folder: Path) -> str:
    return "\t".join([job, "steering_1f", state, reason, "n1", "59:00", comment, str(folder)]) + "\n"


@pytest.fixture
def programs(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", in_front(folder))
    return folder


def test_only_snakemake_s_jobs_of_this_folder_are_told(programs, tmp_path):
    told = line("7_1", "RUNNING", folder=tmp_path) + line("8", "PENDING", reason="Priority", folder=tmp_path)
    others = line("9", "RUNNING", folder=tmp_path / "other") + line("10", "RUNNING", comment="mine", folder=tmp_path)
    Program(programs, "squeue", [{"stdout": told + others}])
    found = slurm.jobs(tmp_path)
    assert [job.id for job in found] == ["7_1", "8"]
    assert [job.waits for job in found] == [False, True]


@pytest.mark.parametrize(("state", "ended"), [("RUNNING", False), ("COMPLETING", False), ("TIMEOUT", True)])
def test_a_job_has_ended_when_slurm_says_so(programs, tmp_path, state, ended):
    Program(programs, "squeue", [{"stdout": line("7", state, folder=tmp_path)}])
    assert [job.ended for job in slurm.jobs(tmp_path)] == [ended]


def test_no_slurm_no_jobs(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slurm.jobs(tmp_path) == []


def test_a_silent_slurm_is_told_in_its_own_words(programs, tmp_path):
    Program(programs, "squeue", [{"stdout": "", "stderr": "Unable to contact slurm controller\n", "code": 1}])
    with pytest.raises(SlurmError, match="squeue: Unable to contact slurm controller"):
        slurm.jobs(tmp_path)


def test_a_slurm_that_hangs_is_given_up(programs, tmp_path, monkeypatch):
    (programs / "squeue").write_text("#!/bin/sh\nexec sleep 60\n")
    (programs / "squeue").chmod(0o755)
    monkeypatch.setattr(slurm, "PATIENCE_SECONDS", 0.2)
    with pytest.raises(SlurmError, match="no answer in 0.2 s"):
        slurm.jobs(tmp_path)


def test_nothing_is_cancelled_where_nothing_is_named(programs):
    scancel = Program(programs, "scancel", [{"stdout": ""}])
    slurm.cancel([])
    slurm.cancel(["7_1", "8"])
    assert scancel.calls == [["7_1", "8"]]
