"""What goes wrong on a cluster, and how each must end: nothing lost, nothing twice, nothing silently wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from projects import edit, environment, head, words

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]

RUN = "checkpoints/runs/3b/scienceqa"
PATIENCE_SECONDS = 240


def manifest(arm: str) -> str:
    return f"{RUN}/{arm}/seed0/manifest.json"


def steps(count: int, *, every: int = 1) -> Callable[[dict[str, Any]], None]:
    def change(raw: dict[str, Any]) -> None:
        raw["worlds"]["3b"]["tune"] |= {"steps": count, "checkpoint_every": every}

    return change


def until(condition: Callable[[], Any], what: str, *, seconds: float = PATIENCE_SECONDS) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"waited {seconds} s in vain for {what}"
        time.sleep(0.3)
    return found


def ended(running: subprocess.Popen, folder: Path) -> int:
    try:
        return running.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        running.kill()
        raise AssertionError(f"snakemake did not end:\n{words(folder)[-4000:]}") from None


def training(folder: Path, *, above: int = 0) -> Callable[[], bool]:
    """Whether a run has trained more than *above* steps and goes on."""

    def running() -> bool:
        return any(
            len(path.read_text().splitlines()) > above for path in folder.glob(".store/runs/*/making/metrics.jsonl")
        )

    return running


def states(cluster) -> list[str]:
    return [job["state"] for job in cluster.jobs()]


def trained_steps(folder: Path, arm: str) -> list[int]:
    lines = (folder / RUN / arm / "seed0/metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    typed = [sys.executable, "-m", *arguments]
    return subprocess.run(
        typed, cwd=folder, env=environment(), capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )


@pytest.fixture
def only_mine(cluster):
    """The jobs submitted by this test; the others' are left out."""
    before = {job["jobarrayid"] for job in cluster.jobs()}
    yield lambda: [job for job in cluster.jobs() if job["jobarrayid"] not in before]
    mine = [job["jobarrayid"] for job in cluster.jobs() if job["jobarrayid"] not in before]
    if mine:
        subprocess.run(["scancel", *mine], check=False)


def test_a_cancelled_training_saves_and_goes_on_in_the_next_job(project, cluster, only_mine):
    edit(project, steps(400, every=1000))
    running = head(project, manifest("mores_b"))
    until(training(project, above=2), "training")
    subprocess.run(["scancel", only_mine()[0]["jobarrayid"]], check=True)
    assert ended(running, project) == 0
    assert [job["state"] for job in only_mine()][1:] == ["COMPLETED"]
    told = json.loads((project / manifest("mores_b")).read_text())
    assert told["resumed_from"] > 2
    assert trained_steps(project, "mores_b") == list(range(1, 401))
