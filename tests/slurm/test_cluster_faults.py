"""What goes wrong on a cluster, and how each must end: nothing lost, nothing twice, nothing silently wrong."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from projects import PATIENCE_SECONDS, PROFILE, edit, environment, head, training, until, words

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]

RUN = "checkpoints/runs/3b/scienceqa"


def manifest(arm: str) -> str:
    return f"{RUN}/{arm}/seed0/manifest.json"


def steps(count: int, *, every: int = 1) -> Callable[[dict[str, Any]], None]:
    def change(raw: dict[str, Any]) -> None:
        raw["worlds"]["3b"]["tune"] |= {"steps": count, "checkpoint_every": every}

    return change


def ended(running: subprocess.Popen, folder: Path) -> int:
    try:
        return running.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        running.kill()
        raise AssertionError(f"snakemake did not end:\n{words(folder)[-4000:]}") from None


def resumed(folder: Path) -> bool:
    """Whether a second attempt has found the first one's checkpoint."""
    return (
        any((path / "checkpoints").exists() for path in folder.glob(".store/runs/*")) and training(folder, above=20)()
    )


def sorted_by_id(jobs: list[dict[str, str]]) -> list[dict[str, str]]:
    return sorted(jobs, key=lambda job: int(job["jobarrayid"].split("_")[0]))


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


def trained(folder: Path, arm: str) -> dict[str, Any]:
    return json.loads((folder / manifest(arm)).read_text())


def train_slowly(project: Path, *arms: str, count: int = 300, **more: str) -> subprocess.Popen:
    """A head that trains *arms* for a while and saves only when asked to."""
    edit(project, steps(count, every=10 * count))
    return head(project, *map(manifest, arms or ("mores_b",)), *more.pop("options", "").split(), **more)


def test_a_cancelled_training_saves_and_goes_on_in_the_next_job(project, only_mine):
    running = train_slowly(project)
    until(training(project, above=2), "training")
    subprocess.run(["scancel", only_mine()[0]["jobarrayid"]], check=True)
    assert ended(running, project) == 0
    assert [job["state"] for job in only_mine()][1:] == ["COMPLETED"]
    assert trained(project, "mores_b")["resumed_from"] > 2
    assert trained_steps(project, "mores_b") == list(range(1, 301))


def test_a_training_whose_time_is_up_goes_on_in_the_next_job(project, only_mine):
    running = train_slowly(project, count=6000)
    until(training(project, above=2), "training")
    subprocess.run(["scontrol", "update", f"JobId={only_mine()[0]['jobarrayid']}", "TimeLimit=1"], check=True)
    until(lambda: len(only_mine()) == 2, "the second job")
    assert {job["state"] for job in only_mine()} & {"TIMEOUT", "FAILED"}
    until(lambda: resumed(project), "training that goes on")
    running.terminate()
    subprocess.run(["scancel", *(job["jobarrayid"] for job in only_mine())], check=False)
    ended(running, project)


def test_a_job_without_enough_memory_is_tried_again_with_more(project, only_mine):
    running = head(project, manifest("mores_b"), "--set-resources", "tune:mem_mb=300 * attempt ** 3")
    assert ended(running, project) == 0
    asked = [int(re.search(r"mem=(\d+)M", job["tres-alloc"])[1]) for job in sorted_by_id(only_mine())]
    assert asked[0] == 300
    assert asked == sorted(asked)
    assert len(asked) > 1


def test_a_job_whose_node_goes_down_is_run_elsewhere(project, cluster, only_mine):
    running = train_slowly(project)
    until(training(project, above=2), "training")
    lost = only_mine()[0]["nodelist"]
    cluster.kill(lost)
    try:
        assert ended(running, project) == 0
    finally:
        cluster.start_node(lost)
    first, *others = sorted_by_id(only_mine())
    assert first["state"] == "NODE_FAIL"
    assert others[-1]["state"] == "COMPLETED"
    assert trained_steps(project, "mores_b") == list(range(1, 301))


def test_a_restarted_controller_costs_no_job(project, cluster, only_mine):
    running = train_slowly(project)
    until(training(project, above=2), "training")
    cluster.kill("slurmctld")
    time.sleep(3)
    cluster.start_controller()
    assert ended(running, project) == 0
    assert [job["state"] for job in only_mine()] == ["COMPLETED"]
    assert trained(project, "mores_b")["resumed_from"] == 0


def test_a_refused_job_is_told_and_the_others_finish(project, only_mine):
    targets = [manifest("none"), manifest("mores_b")]
    refused = "tune:mem_mb=10 ** 7 if wildcards.arm == 'none' else 8000"
    running = head(project, *targets, "--slurm-array-jobs", "", "--set-resources", refused, "--retries", "0")
    assert ended(running, project) != 0
    assert "Memory specification can not be satisfied" in words(project)
    assert (project / manifest("mores_b")).exists()
    assert not (project / manifest("none")).exists()


def test_a_killed_head_s_jobs_are_waited_for_and_its_work_goes_on(project, only_mine):
    running = train_slowly(project)
    until(training(project, above=2), "training")
    running.kill()
    running.wait()
    assert "Killed: `snakemake" in command(project, "stages.status").stdout
    answer = command(project, "stages.resume")
    assert answer.returncode == 0, answer.stderr[-3000:]
    assert "waiting for SLURM jobs of the dead head" in answer.stderr
    assert trained(project, "mores_b")["resumed_from"] == 0  # the orphan's own: nothing was trained twice
    assert trained_steps(project, "mores_b") == list(range(1, 301))


def test_a_second_head_is_refused_and_disturbs_nothing(project, only_mine):
    running = train_slowly(project)
    until(training(project, above=2), "training")
    second = command(project, "snakemake", "--profile", PROFILE, manifest("mores_b"))
    assert second.returncode != 0
    assert "locked" in second.stdout + second.stderr
    refused = command(project, "stages.resume")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "running already" in refused.stderr
    assert ended(running, project) == 0
    assert len(only_mine()) == 1


def test_status_tells_what_runs_where_and_how_far(project, only_mine):
    running = train_slowly(project, count=900)
    until(training(project, above=2), "training")
    status = json.loads(command(project, "stages.status", "--json").stdout)
    (job,) = [told for told in status["experiments"][0]["running"] if told["rule"] == "tune"]
    assert (job["slurm_job"], job["host"]) == (only_mine()[0]["jobarrayid"], only_mine()[0]["nodelist"])
    assert status["head"]["state"] == "running"
    running.send_signal(signal.SIGINT)  # cancels its jobs
    assert ended(running, project) != 0
    until(lambda: not [job for job in only_mine() if job["state"] in ("RUNNING", "COMPLETING")], "cancelled jobs")
    assert command(project, "stages.status").stdout.splitlines()[-1] == "No snakemake runs here."
