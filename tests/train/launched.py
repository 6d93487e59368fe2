"""A stage in small, on as many nodes as NODES says: `python -m tests.train.launched HOW FOLDER [--threads N]`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from steering.errors import SteeringError
from steering.interrupts import Interrupted, Interrupts
from steering.train.launch import delivers, in_processes


def main(how: str, folder: Path) -> None:
    in_processes({"processes": 2, "nodes": int(os.environ.get("NODES", 1))}, lambda: work(how, folder))
    if delivers():
        (folder / "delivered").write_text(f"{os.getpid()}")


def work(how: str, folder: Path) -> None:
    rank = os.environ["RANK"]
    (folder / f"rank{rank}").write_text(" ".join(sys.argv[1:]))
    if how == "diverges":
        raise SteeringError(f"process {rank} says no")
    if how == "crashes" and rank == "1":
        os.abort()
    if how == "stops":
        with Interrupts() as interrupts:
            while interrupts.asked is None:
                time.sleep(0.05)
        raise Interrupted("stopped")


def asked_to_stop(parent: subprocess.Popen[str], folder: Path) -> int:
    """The exit code of a stage that got a signal while both its processes were at work."""
    until = time.monotonic() + 90
    while not all((folder / f"rank{rank}").exists() for rank in (0, 1)):
        assert time.monotonic() < until
        time.sleep(0.05)
    time.sleep(0.3)
    parent.send_signal(signal.SIGTERM)
    return parent.wait(60)


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]))
    except SteeringError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
