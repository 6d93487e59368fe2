"""A run stays RUNNING while its training lives, and is KILLED once it is known to be gone."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from steering.tracking import RunRecord, orphans, take_over, upload_table
from steering.tracking.orphans import SILENCE_SECONDS, TAG, Process

HERE = platform.node()


@pytest.fixture
def ended() -> Process:
    """A process of this host that has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as started:
        process = Process.of(started.pid)
        started.kill()
    return process


def told(process: Process, *, seconds_ago: float = 0.0) -> dict[str, object]:
    return json.loads(process.sign()[TAG]) | {"seen": time.time() - seconds_ago}


def test_a_living_process_is_there_however_long_it_is_silent() -> None:
    assert not orphans._gone(told(Process.of(os.getpid()), seconds_ago=1e6))


def test_an_ended_process_is_gone(ended: Process) -> None:
    assert orphans._gone(told(ended))


def test_a_process_that_nobody_waits_for_is_gone() -> None:
    started = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    process = Process.of(started.pid)
    started.kill()
    try:
        while psutil.Process(started.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        assert orphans._gone(told(process))
    finally:
        started.communicate()


def test_a_later_process_of_the_same_number_is_another() -> None:
    own = Process.of(os.getpid())
    assert orphans._gone(told(Process(HERE, own.pid, own.started - 3600)))


@pytest.mark.parametrize(("seconds_ago", "gone"), [(SILENCE_SECONDS / 2, False), (SILENCE_SECONDS * 2, True)])
def test_of_another_host_silence_tells(seconds_ago: float, gone: bool) -> None:
    assert orphans._gone(told(Process("elsewhere", os.getpid(), 0.0), seconds_ago=seconds_ago)) == gone


def live(arm: str, world: str) -> RunRecord:
    return RunRecord({"run": f"{world}/mix/{arm}/seed0", "world": world, "arm": arm, "seed": 0})


def status(client: MlflowClient, run: str) -> str:
    return client.get_run(run).info.status


def test_an_upload_ends_what_is_gone_and_nothing_else(client: MlflowClient, uri: str, ended: Process) -> None:
    processes = {"gone": ended, "lives": Process.of(os.getpid()), "untold": None}
    runs = {
        arm: take_over(live(arm, "swept"), tracking_uri=uri, process=process).id for arm, process in processes.items()
    }
    elsewhere = take_over(live("gone", "other"), tracking_uri=uri).id
    upload_table([], tracking_uri=uri, experiment="table", world="swept")
    assert {arm: status(client, run) for arm, run in runs.items()} == {
        "gone": "KILLED",
        "lives": "RUNNING",
        "untold": "RUNNING",
    }
    assert status(client, elsewhere) == "RUNNING"


def test_the_next_training_ends_it_too_at_the_moment_it_was_last_seen(
    client: MlflowClient, uri: str, ended: Process, tmp_path: Path
) -> None:
    run = take_over(live("left", "trained_on"), tracking_uri=uri).id
    client.set_tag(run, TAG, json.dumps(told(ended, seconds_ago=0) | {"seen": 1_800_000_000}))
    take_over(live("next", "trained_on"), tracking_uri=uri, process=Process.of(os.getpid()))
    assert (status(client, run), client.get_run(run).info.end_time) == ("KILLED", 1_800_000_000_000)
    taken = take_over(live("left", "trained_on"), tracking_uri=uri, process=Process.of(os.getpid()))
    assert (taken.id, status(client, run)) == (run, "RUNNING")
