"""Signals that end a job (time limit, preemption, scancel, Ctrl-C): asked once, it ends at the next boundary.

The first signal only asks; one that follows within a second is its echo (a launcher passes on what the whole group
of processes got). A later one ends the process at once, and so does a timer: work that hangs comes to no boundary.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Self

from steering.errors import SteeringError

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
SHELL = "set -euo pipefail; trap : TERM INT USR1; tee() { trap '' TERM INT USR1; exec tee \"$@\"; }; "
"""Before `python -m stages.X ... | tee LOG`: a signal for a job goes to all its processes, and the stage alone acts on
it. The shell and tee stay until it has saved its state, for SLURM kills what is left as soon as they have gone.
"""
EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: nothing is wrong, try again


class Interrupted(SteeringError):
    """A run that was asked to end and has saved its state: the same command goes on from there."""

    exit_code = EXIT_CODE


class Interrupts:
    """Within the block, `asked` names the signal that asked the run to end, and is None before."""

    def __init__(self, *, patience_seconds: float = 600, echo_seconds: float = 1):
        self.patience_seconds, self.echo_seconds = patience_seconds, echo_seconds
        self.asked: str | None = None
        self._asked_at = 0.0
        self._before: dict[signal.Signals, Any] = {}
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # Python takes handlers nowhere else
            self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._timer is not None:
            self._timer.cancel()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked is not None:
            if time.monotonic() - self._asked_at > self.echo_seconds:
                os._exit(128 + number)
            return
        self.asked, self._asked_at = signal.Signals(number).name, time.monotonic()
        self._timer = threading.Timer(self.patience_seconds, os._exit, [EXIT_CODE])
        self._timer.daemon = True
        self._timer.start()
        with contextlib.suppress(OSError):  # whoever read it may have ended by the same signal
            print(f"{self.asked}: ending at the next boundary; once more ends at once", file=sys.stderr, flush=True)
