"""Asked to end, a run saves its state at the next step and says 75, and goes on from there."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from steering.arms import MoresSettings
from steering.interrupts import EXIT_CODE, SIGNALS, Interrupted
from steering.metrics_log import read_metrics
from steering.train.optimiser import trainable
from tests.train.toy import go, run_of


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
