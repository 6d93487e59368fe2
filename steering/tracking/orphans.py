"""Runs that MLflow shows RUNNING though their training and the child that followed it were killed in one moment.

A run that is followed carries a tag that names its process and says when it last lived. On the same host the process
itself is asked for; on another one silence tells. A run that was ended wrongly, because its network was cut off for
long, becomes RUNNING again when its follower gets through: after a fault that takes the run over anew.
"""

from __future__ import annotations

import json
import platform
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import psutil

if TYPE_CHECKING:
    from mlflow import MlflowClient

TAG = "steering.process"
SIGN_SECONDS = 60.0
SILENCE_SECONDS = 1800.0  # far beyond the longest pause and the longest attempt of a follower that lives
SAME_START_SECONDS = 60.0  # a set clock moves what is read as a process's start


@dataclass(frozen=True)
class Process:
    """A process on some host; `started` (seconds since 1970) tells it from a later one of the same number."""

    host: str
    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> Self:
        """The process *pid* of this host. Raises psutil.NoSuchProcess where there is none."""
        return cls(platform.node(), pid, psutil.Process(pid).create_time())

    def sign(self) -> dict[str, str]:
        """The tag that says that it lives now."""
        return {TAG: json.dumps(asdict(self) | {"seen": round(time.time())})}


def end(client: MlflowClient, experiment_id: str) -> None:
    """End as KILLED every RUNNING run of the experiment whose process is gone, at the moment it was last seen."""
    for run in client.search_runs([experiment_id], filter_string="attributes.status = 'RUNNING'"):
        told = json.loads(run.data.tags.get(TAG, "{}"))
        if told and _gone(told):
            client.set_terminated(run.info.run_id, "KILLED", end_time=int(told["seen"]) * 1000)


def _gone(told: dict[str, Any]) -> bool:
    if told["host"] != platform.node():
        return time.time() - float(told["seen"]) > SILENCE_SECONDS
    try:
        process = psutil.Process(int(told["pid"]))
        lives = process.status() != psutil.STATUS_ZOMBIE
        return not lives or abs(process.create_time() - float(told["started"])) > SAME_START_SECONDS
    except psutil.NoSuchProcess:
        return True
