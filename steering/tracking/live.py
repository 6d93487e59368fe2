"""Live tracking: while a run trains, a child process shows its metrics.jsonl to an MLflow server; no run waits for it.

A child and not a thread, because importing MLflow (seconds of CPU time) and speaking to it hold Python's lock, which
the training loop needs for every kernel it launches (single steps of 30 ms took 0.5 to 1.1 s meanwhile); because a
child can be ended, whatever it hangs in; and because it outlives a training that is killed, and can say so. It lets
the training go first (nice), and writes one line when it first fails. After a fault it tries again at growing pauses,
asking anew what the server has.

The status in MLflow: RUNNING while the block lasts, FINISHED after it, FAILED after an error. A stop that is meant to
be resumed (an error whose exit_code is 75, or Ctrl-C) is KILLED: nobody trains any more and nothing was wrong, which
is true whether or not somebody resumes it. A training that died without a word (kill -9) is KILLED too if the child
survived it, else at the next training or upload of its world (steering.tracking.orphans). The next attempt takes the
run over from any of these and makes it RUNNING again.

A step that was done twice (once before a crash, once after resuming) shows its first values; metrics.jsonl holds the
second. What did not get through is added by `steering.tracking.upload`, from metrics.jsonl.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from steering.manifest import machine
from steering.tracking import LiveRun, RunRecord, TrackingError, follow, take_over
from steering.tracking.orphans import SIGN_SECONDS, Process

URI = "MLFLOW_TRACKING_URI"
EVERY_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 60.0
END_SECONDS = 4.0
ATTEMPT_SECONDS = 600
RESUMABLE = 75
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


@contextlib.contextmanager
def following(
    log: Path, manifest: Mapping[str, Any], *, uri: str | None = None, every_seconds: float = EVERY_SECONDS
) -> Iterator[None]:
    """Show what the block appends to *log*, a metrics.jsonl that may not be there yet, to the MLflow server at *uri*.

    manifest: as far as it is known: world, arm, seed, run, settings, inputs; data, method and started where given.
    uri: by default that of the environment. Nothing at all happens unless it is http(s), since several jobs over one
    sqlite file break, nor in a process that torchrun started as other than the first.
    every_seconds: between looks at *log*. Leaving the block takes at most four seconds longer than without.
    """
    uri = os.environ.get(URI, "") if uri is None else uri
    if urlsplit(uri).scheme not in ("http", "https") or os.environ.get("RANK", "0") != "0":
        yield
        return
    child = _child({"uri": uri, "log": str(log), "manifest": {**machine(), **manifest}, "every_seconds": every_seconds})
    status = "FINISHED"
    try:
        yield
    except BaseException as error:
        status = _status(error)
        raise
    finally:
        if child:
            _end(child, status)


def _status(error: BaseException) -> str:
    resumable = isinstance(error, KeyboardInterrupt) or getattr(error, "exit_code", None) == RESUMABLE
    return "KILLED" if resumable else "FAILED"


def _child(told: Mapping[str, Any]) -> subprocess.Popen[bytes] | None:
    """The child, *told* what to follow through its standard input, where no list of processes shows a password."""
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            bufsize=0,
        )
        child.stdin.write(json.dumps(told, default=str).encode() + b"\n")  # type: ignore[union-attr]
    except OSError as fault:
        print(f"live tracking: {fault}; training goes on without", file=sys.stderr)
        return None
    return child


def _end(child: subprocess.Popen[bytes], status: str) -> None:
    """Tell the child how the block ended, and give it END_SECONDS to pass that on."""
    with contextlib.suppress(OSError):
        try:
            child.communicate(status.encode(), timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()


class Tail:
    """The complete lines of a metrics.jsonl that is being written, each once; all again where the file was replaced."""

    def __init__(self, path: Path):
        self.path = path
        self._offset = 0
        self._inode = 0

    @property
    def replaced(self) -> bool:
        """Whether it is another file than the one read so far, as after a resume, which drops lines by a rename."""
        return self._offset > 0 and self.path.exists() and self.path.stat().st_ino != self._inode

    def lines(self) -> list[dict[str, Any]]:
        """What was completed since the last call; what is no JSON object with a step is left out."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self._offset)
            whole = file.read().rpartition(b"\n")[0]
            self._inode = os.fstat(file.fileno()).st_ino
        self._offset += len(whole) + 1 if whole else 0
        return [line for text in whole.splitlines() if (line := _line(text))]


def _line(text: bytes) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError):
        line = json.loads(text)
        return line if isinstance(line, dict) and "step" in line else None
    return None


class Follower:
    """Brings the MLflow run of one training up to date with its log; after a fault it starts over."""

    def __init__(self, log: Path, record: RunRecord, uri: str, *, process: Process | None = None):
        self._log, self._record, self._uri, self._process = log, record, uri, process
        self._tail = Tail(log)
        self._run: LiveRun | None = None
        self._signed = 0.0

    def catch_up(self, status: str | None = None) -> None:
        """Send what is new and now and then a sign of life, then end the run with *status*, if any.

        Raises TrackingError.
        """
        run, tail = self._run, self._tail
        self._run = None  # until all has gone well
        if run is None or tail.replaced:
            run, tail = take_over(self._record, tracking_uri=self._uri, process=self._process), Tail(self._log)
            self._signed = time.monotonic()
        lines = tail.lines()
        due = time.monotonic() - self._signed > SIGN_SECONDS
        if lines or status or due:
            follow(run, lines, tracking_uri=self._uri, status=status, process=self._process if due else None)
            self._signed = time.monotonic() if due else self._signed
        self._run, self._tail = run, tail


def accompany(catch_up: Callable[[str | None], None], told: Callable[[float], str | None], *, every: float) -> None:
    """Call *catch_up* again and again until told(pause) gives a status, and with that a last time.

    Pauses *every* seconds, and after faults twice as long each time. The first fault is told on stderr.
    """
    pause, status, faults = 0.0, None, 0
    while status is None:
        status = told(pause)
        try:
            catch_up(status)
            pause = every
        except Exception as fault:  # whatever it is, training goes on; text that is not ours may hold a password
            text = fault if isinstance(fault, TrackingError) else type(fault).__name__
            if not faults:
                print(
                    f"live tracking: {text}; training goes on, its metrics.jsonl is kept", file=sys.stderr, flush=True
                )
            faults += 1
            pause = max(every, min(2 * pause, LONGEST_PAUSE_SECONDS))


def _parents_word(parent: int) -> Callable[[float], str | None]:
    """How the training ended, within a pause of so many seconds; None while it goes on."""

    def told(pause: float) -> str | None:
        if select.select([0], [], [], pause)[0]:
            return os.read(0, 64).decode() or "KILLED"
        # a worker that the training forked may hold the pipe open after its death
        return None if os.getppid() == parent else "KILLED"

    return told


def _bounded(catch_up: Callable[[str | None], None]) -> Callable[[str | None], None]:
    """*catch_up*, and the end of this process if it lasts too long: a server may drip an answer for ever."""

    def bounded(status: str | None) -> None:
        signal.alarm(ATTEMPT_SECONDS)
        try:
            catch_up(status)
        finally:
            signal.alarm(0)

    return bounded


def _process(pid: int) -> Process | None:
    """The training *pid*; None where it has ended already, and is soon told to have."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return Process.of(pid)
    return None


def main() -> None:
    parent = os.getppid()
    for number in IGNORED:  # they are meant for the training, which then tells how it ended
        signal.signal(number, signal.SIG_IGN)
    os.nice(10)
    with open(0, "rb", buffering=0, closefd=False) as pipe:  # no buffer may take what `select` waits for
        told = json.loads(pipe.readline())
    follower = Follower(Path(told["log"]), RunRecord(told["manifest"]), told["uri"], process=_process(parent))
    accompany(_bounded(follower.catch_up), _parents_word(parent), every=told["every_seconds"])


if __name__ == "__main__":
    main()
