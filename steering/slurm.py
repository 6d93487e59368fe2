"""What SLURM says of the jobs that were submitted from this folder; nothing where there is no SLURM."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from steering.errors import SteeringError

PATIENCE_SECONDS = 60
FORMAT = ("%i", "%j", "%T", "%r", "%N", "%L", "%k", "%Z")
MARK = "rule_"  # Snakemake's comments begin with it
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL"}


@dataclass(frozen=True)
class SlurmJob:
    """A line of squeue: its id (NUMBER or NUMBER_TASK), the state in SLURM's words, why it waits, what it is about."""

    id: str
    name: str
    state: str
    reason: str
    nodes: str
    time_left: str
    comment: str
    folder: str

    @property
    def waits(self) -> bool:
        return self.state == "PENDING"

    @property
    def ended(self) -> bool:
        return self.state in ENDED


class SlurmError(SteeringError):
    """SLURM is there and does not answer."""


def jobs(folder: Path) -> list[SlurmJob]:
    """The user's jobs that Snakemake submitted from *folder*, ended ones too; none where SLURM is not installed.

    Raises:
        SlurmError: squeue does not answer.
    """
    told = _said("squeue", "--states=all", "--noheader", "--array", f"--user={os.getuid()}", f"--format={_format()}")
    found = [SlurmJob(*line.split("\t")) for line in told.splitlines() if line.count("\t") == len(FORMAT) - 1]
    return [job for job in found if job.comment.startswith(MARK) and Path(job.folder) == folder.resolve()]


def own_slurm_job() -> str | None:
    """The SLURM job that this process is part of."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def granted_nodes() -> int:
    """How many nodes the SLURM job has that this process is part of; 0 outside SLURM.

    Asked of squeue, for Snakemake takes away from a job's environment what would tell.
    """
    own = os.environ.get("SLURM_JOB_ID")
    return int(_said("squeue", "--noheader", f"--jobs={own}", "--format=%D") or 0) if own else 0


def cancel(ids: Iterable[str]) -> None:
    """Ask jobs to end: training saves its state first.

    Raises:
        SlurmError: scancel refuses.
    """
    if wanted := list(ids):
        _said("scancel", *wanted)


def _format() -> str:
    return "\t".join(FORMAT)


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    except FileNotFoundError:
        return ""
    except subprocess.TimeoutExpired:
        raise SlurmError(f"{command[0]}: no answer in {PATIENCE_SECONDS} s; is slurmctld up? (scontrol ping)") from None
    if done.returncode:
        raise SlurmError(f"{command[0]}: {done.stderr.strip() or done.returncode}")
    return done.stdout
