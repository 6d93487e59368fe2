"""Who works on which job, or how its last attempt ended: one small file per job, gone once the job is done.

A stage writes it when it starts and again when it fails. A process that was killed leaves what it wrote at its start;
whether it still runs is told by its process on this machine, or by SLURM.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import psutil

from steering import layout
from steering.manifest import now, read_json, write_json
from steering.slurm import own_slurm_job

Standing = Literal["running", "failed", "vanished"]


@dataclass(frozen=True)
class Attempt:
    """One try at a job.

    born: when its process started, so that another one with the same number is not taken for it.
    slurm_job: as squeue names it, NUMBER or NUMBER_TASK; None outside SLURM.
    fault, exit_code, ended: None while it runs, and for ever where it was killed.
    """

    host: str
    pid: int
    born: float
    started: str
    slurm_job: str | None = None
    fault: str | None = None
    exit_code: int | None = None
    ended: str | None = None

    @classmethod
    def here(cls) -> Attempt:
        born = psutil.Process().create_time()
        return cls(socket.gethostname(), os.getpid(), born, now(), slurm_job=own_slurm_job())

    def standing(self, slurm_states: Mapping[str, str] | None) -> Standing:
        """*slurm_states*: the state of each job that SLURM knows; None where it does not answer."""
        if self.ended:
            return "failed"
        if self.slurm_job and slurm_states is None:
            return "running"
        if self.slurm_job and slurm_states is not None:
            return "running" if slurm_states.get(self.slurm_job) == "RUNNING" else "vanished"
        return "running" if alive(self.host, self.pid, self.born) else "vanished"


def alive(host: str, pid: int, born: float) -> bool:
    """Whether the process still runs; of another machine that cannot be known, so it is held to."""
    if host != socket.gethostname():
        return True
    try:
        return abs(psutil.Process(pid).create_time() - born) < 1
    except psutil.Error:
        return False


@contextmanager
def recorded(slice_file: Path) -> Iterator[None]:
    """Tell of the block as an attempt at the job of *slice_file*, of several processes once."""
    if "STEERING_CHILD" in os.environ:
        yield
        return
    path, attempt = layout.attempt(slice_file.parent.name, slice_file.stem), Attempt.here()
    write_json(path, asdict(attempt))
    try:
        yield
    except BaseException as error:
        told = {"fault": fault_of(error), "exit_code": getattr(error, "exit_code", 1), "ended": now()}
        with contextlib.suppress(OSError):  # the disk may be what failed
            write_json(path, asdict(attempt) | told)
        raise
    path.unlink(missing_ok=True)


def fault_of(error: BaseException) -> str:
    """An error of ours in its own words, any other with its kind."""
    from steering.errors import SteeringError

    return str(error) if isinstance(error, SteeringError) else f"{type(error).__name__}: {error}"


def last_attempt(rule: str, digest: str) -> Attempt | None:
    """The last attempt at a job that is not done; None where none was ever made."""
    try:
        return Attempt(**read_json(layout.attempt(rule, digest)))
    except (OSError, ValueError, TypeError):  # none, or one of another version
        return None
