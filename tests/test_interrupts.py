"""Asked to end, work ends at its next boundary; asked twice, or hanging, it ends all the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from steering.interrupts import EXIT_CODE, SHELL, SIGNALS, Interrupts

ROOT = Path(__file__).resolve().parent.parent
HANGS = """
import time
from steering.interrupts import Interrupts
with Interrupts(patience_seconds={patience}, echo_seconds=0.2):
    print("ready", flush=True)
    time.sleep(60)
    time.sleep(60)
"""


def test_handlers_are_as_before_behind_the_block() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interrupts():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before


def hanging(*, patience: float) -> subprocess.Popen[str]:
    program = [sys.executable, "-c", HANGS.format(patience=patience)]
    process = subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_second_signal_ends_a_step_that_hangs() -> None:
    process = hanging(patience=60)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 128 + signal.SIGTERM


def test_the_echo_of_a_signal_is_no_second_one() -> None:
    process = hanging(patience=2)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == EXIT_CODE


def test_patience_ends_a_step_that_hangs() -> None:
    process = hanging(patience=0.3)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(10) == EXIT_CODE


LOGGED = """
import signal, sys, time
def end(*_):
    time.sleep(0.5)
    print("saved", flush=True)
    sys.exit(75)
signal.signal(signal.{name}, end)
print("started", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_a_job_s_shell_and_log_outlive_a_signal_for_all_of_them(tmp_path, name):
    log = tmp_path / "log"
    (tmp_path / "job.py").write_text(LOGGED.format(name=name))
    line = f"{SHELL}{sys.executable} {tmp_path / 'job.py'} 2>&1 | tee {log}"
    job = subprocess.Popen(["bash", "-c", line], stdout=subprocess.DEVNULL, start_new_session=True)
    until(lambda: log.exists() and log.read_text() == "started\n")
    os.killpg(job.pid, getattr(signal, name))
    assert job.wait(30) == 75
    assert log.read_text() == "started\nsaved\n"


def until(condition) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
