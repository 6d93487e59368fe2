"""The head: the `snakemake` that decides and submits. It says who it is while it runs, so that a dead one is known.

A head that was killed leaves its record, its lock and, on a cluster, its jobs; `stages.resume` clears up and goes on.
"""

from __future__ import annotations

import getpass
import os
import shlex
import socket
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from steering import layout
from steering.attempts import alive
from steering.manifest import now, read_json, write_json

LOCKS = Path(".snakemake") / "locks"
PROFILE = "SNAKEMAKE_PROFILE"


@dataclass(frozen=True)
class Head:
    """Who runs `snakemake` here, what was typed, and whether it submits jobs to other machines."""

    host: str
    pid: int
    born: float
    user: str
    started: str
    arguments: list[str]
    submits: bool
    profile: str | None = None

    @classmethod
    def here(cls, *, submits: bool) -> Head:
        born = psutil.Process().create_time()
        arguments, profile = sys.argv[1:], os.environ.get(PROFILE)
        return cls(socket.gethostname(), os.getpid(), born, getpass.getuser(), now(), arguments, submits, profile)

    @property
    def alive(self) -> bool:
        return alive(self.host, self.pid, self.born)

    @property
    def elsewhere(self) -> bool:
        return self.host != socket.gethostname()

    def told(self) -> str:
        command = shlex.join(["snakemake", *self.arguments])
        return f"`{command}` of {self.user} on {self.host}, process {self.pid}, since {self.started}"


def begin(*, submits: bool) -> None:
    """Record this process as the head; another that runs on other targets keeps its record."""
    known = last_head()
    if known is None or not known.alive:
        write_json(layout.HEAD, asdict(Head.here(submits=submits)))


def end() -> None:
    """Take the record away, if it is this process's."""
    known = last_head()
    if known and (known.host, known.pid) == (socket.gethostname(), os.getpid()):
        layout.HEAD.unlink(missing_ok=True)


def last_head() -> Head | None:
    """The head that runs, or that ended without a word; None where the last one ended well or none ever ran."""
    try:
        return Head(**read_json(layout.HEAD))
    except (OSError, ValueError, TypeError):  # none, or one of another version
        return None


def locked() -> bool:
    """Whether Snakemake holds this folder's lock, for a head that lives or one that died."""
    return LOCKS.is_dir() and any(LOCKS.iterdir())
