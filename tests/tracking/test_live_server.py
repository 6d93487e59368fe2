"""A real server shows a training while it goes on, and how it ended, even where it was killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from steering.errors import SteeringError
from steering.tracking import upload_table
from steering.tracking.live import following
from tests.tracking.followed import manifest, shown, steps, write
from tests.tracking.servers import until


class StopError(SteeringError):
    exit_code = 75


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "status"),
    [(None, "FINISHED"), (ValueError, "FAILED"), (StopError, "KILLED"), (KeyboardInterrupt, "KILLED")],
)
def test_a_server_shows_a_training_while_it_goes_on_and_how_it_ended(
    server: str, tmp_path: Path, error: type[BaseException] | None, status: str
) -> None:
    log, arm = tmp_path / "metrics.jsonl", error.__name__ if error else "well"
    try:
        with following(log, manifest(arm), uri=server, every_seconds=0.3):
            write(log, range(1, 4))
            until(lambda: [run for run in shown(server, arm) if steps(server, run) == [1, 2, 3]], seconds=120)
            assert shown(server, arm)[0].info.status == "RUNNING"
            write(log, range(4, 6))
            if error:
                raise error
    except (ValueError, StopError, KeyboardInterrupt) as raised:
        assert type(raised) is error
    (run,) = shown(server, arm)
    assert (run.info.status, steps(server, run)) == (status, [1, 2, 3, 4, 5])


TRAINING = """
import sys, time
from pathlib import Path
from steering.metrics_log import MetricsLog
from steering.tracking.live import following
log = Path(sys.argv[1])
with following(log, {manifest!r}, uri={uri!r}, every_seconds=0.3), MetricsLog(log, resume_step=2) as metrics:
    for step in range(3, 6):
        metrics.log(step, loss=1.0)
    time.sleep(600)
"""


@pytest.mark.slow
def test_a_training_that_is_killed_is_told_by_its_child_and_taken_over(server: str, tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    for _ in range(2):
        program = TRAINING.format(manifest=manifest("killed"), uri=server)
        training = subprocess.Popen([sys.executable, "-c", program, str(log)])
        until(lambda: [r for r in shown(server, "killed") if r.info.status == "RUNNING"], seconds=120)
        until(lambda: steps(server, shown(server, "killed")[0]) == [3, 4, 5], seconds=120)
        training.kill()
        training.wait()
        until(lambda: shown(server, "killed")[0].info.status == "KILLED", seconds=120)
    assert len(shown(server, "killed")) == 1


@pytest.mark.slow
def test_a_training_killed_together_with_its_child_is_ended_at_the_next_upload(server: str, tmp_path: Path) -> None:
    program = TRAINING.format(manifest=manifest("orphaned"), uri=server)
    training = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "metrics.jsonl")])
    until(lambda: [r for r in shown(server, "orphaned") if steps(server, r) == [3, 4, 5]], seconds=120)
    (child,) = psutil.Process(training.pid).children()
    child.send_signal(signal.SIGSTOP)  # so that it cannot tell of the other's end
    training.kill()
    training.wait()
    child.kill()
    time.sleep(1)
    assert shown(server, "orphaned")[0].info.status == "RUNNING"
    upload_table([], tracking_uri=server, experiment="another", world="embedded")
    (run,) = shown(server, "orphaned")
    assert run.info.status == "KILLED"
    assert run.info.end_time <= time.time() * 1000
