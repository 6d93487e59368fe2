"""MLflow servers on loopback that are always ended, and waiting for a fact."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

QUIET = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


@contextlib.contextmanager
def serving(folder: Path, *arguments: str, port: int | None = None) -> Iterator[str]:
    """The address of `mlflow server` with *arguments*, run in *folder*, once it answers."""
    chosen = port or free_port()
    command = [sys.executable, "-m", "mlflow", "server", *arguments]
    command += ["--host", "127.0.0.1", "--port", str(chosen), "--workers", "1"]
    with (folder / "server.log").open("ab") as log:
        started = subprocess.Popen(
            command, cwd=folder, env=os.environ | QUIET, stdout=log, stderr=log, start_new_session=True
        )
    try:
        until(lambda: answers(chosen) or started.poll() is not None, seconds=240)
        assert started.poll() is None, (folder / "server.log").read_text()
        yield f"http://127.0.0.1:{chosen}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def until(fact: Callable[[], object], *, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.1)
