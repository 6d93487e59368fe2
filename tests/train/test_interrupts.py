"""Asked to end, a run saves its state at the next step and says 75; asked twice, or hanging, it ends all the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from steering.arms import MoresSettings
from steering.metrics_log import read_metrics
from steering.train.interrupts import EXIT_CODE, SIGNALS, Interrupted, Interrupts
from steering.train.optimiser import trainable
from tests.train.toy import go, run_of

ROOT = Path(__file__).resolve().parents[2]
HANGS = """
import time
from steering.train.interrupts import Interrupts
with Interrupts(patience_seconds={patience}, echo_seconds=0.2):
    print("ready", flush=True)
    time.sleep(60)
    time.sleep(60)
"""


def signalled(run: Any, at: int, number: int) -> None:
    """Send this process *number* while *run* prepares step *at*."""
    usual = run.feed.at

    def feed_at(step: int, size: int) -> Any:
        if step == at:
            os.kill(os.getpid(), number)
        return usual(step, size)

    run.feed.at = feed_at


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(folder / "metrics.jsonl")]


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_ends_the_run_behind_the_step_under_way(number: signal.Signals, tmp_path: Path) -> None:
    run = run_of(MoresSettings(), tmp_path)
    signalled(run, 3, number)
    with pytest.raises(Interrupted, match=f"{number.name}: stopped after step 4 of 6; run again") as stopped:
        go(run, tmp_path)
    assert stopped.value.exit_code == EXIT_CODE == 75
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == ["step-00000003", "step-00000004"]


def test_the_next_attempt_ends_as_if_there_had_been_no_signal(tmp_path: Path) -> None:
    whole, first, second = (run_of(MoresSettings(), tmp_path / name) for name in ("whole", "cut", "cut"))
    go(whole, tmp_path / "whole")
    signalled(first, 1, signal.SIGTERM)
    with pytest.raises(Interrupted):
        go(first, tmp_path / "cut")
    assert go(second, tmp_path / "cut") == 2
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    ends = [trainable(run.engine.model) for run in (whole, second)]
    assert all((ends[0][name] == ends[1][name]).all() for name in ends[0])


def test_a_signal_in_the_last_step_lets_the_run_finish(tmp_path: Path) -> None:
    run = run_of(MoresSettings(), tmp_path)
    signalled(run, 5, signal.SIGTERM)
    assert go(run, tmp_path) == 0
    assert len(losses(tmp_path)) == 6


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
