"""A whole experiment as SLURM jobs on two nodes: data, training, answers, report; and again, with nothing to do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from typing import Any

import pytest
from projects import EXPERIMENT, edit, environment, head, words

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]

PATIENCE_SECONDS = 600


def failing(raw: dict[str, Any]) -> None:
    """One arm's training stops at its second step; the others are not touched."""
    raw["worlds"]["3b"]["tune"]["method_learning_rates"] = {"ia3": 1e30}


@pytest.fixture(scope="module")
def came_through(tmp_path_factory, prepared, cluster):
    """The experiment's folder, what its jobs were, and the most that ever ran at once on GPUs."""
    folder = tmp_path_factory.mktemp("whole") / "project"
    shutil.copytree(prepared, folder, symlinks=True)
    before = {job["jobarrayid"] for job in cluster.jobs()}
    running, most, waited = head(folder), 0, Counter()
    end = time.monotonic() + PATIENCE_SECONDS
    while running.poll() is None:
        assert time.monotonic() < end, words(folder)[-4000:]
        mine = [job for job in cluster.jobs() if job["jobarrayid"] not in before]
        most = max(most, sum(job["state"] == "RUNNING" and job["partition"] == "gpu" for job in mine))
        waited.update(job["reason"] for job in mine if job["state"] == "PENDING")
        time.sleep(0.5)
    assert running.returncode == 0, words(folder)[-6000:]
    return folder, [job for job in cluster.jobs() if job["jobarrayid"] not in before], most, waited


def test_all_jobs_come_through(came_through):
    folder, jobs, _, _ = came_through
    assert {job["state"] for job in jobs} == {"COMPLETED"}
    assert (folder / "results/cluster/report.html").exists()


def test_gpus_are_asked_for_queued_and_granted(came_through, cluster):
    _, jobs, most, waited = came_through
    granted = [job for job in jobs if job["tres-per-job"].endswith("gpu:fake:1")]
    assert {job["partition"] for job in granted} == {"gpu"}
    assert len(granted) >= 3 * len(EXPERIMENT["arms"])  # tune, predict, attention
    assert most == len(cluster.names) * cluster.gpus  # as many as there are, and never more
    assert waited["Resources"] + waited["Priority"] > 0


def test_runs_of_a_rule_are_one_job_array(came_through):
    _, jobs, _, _ = came_through
    tuned = [job["jobarrayid"] for job in jobs if job["comment"].startswith("rule_tune")]
    assert sorted(number.split("_")[1] for number in tuned) == ["1", "2", "3"]
    assert len({number.split("_")[0] for number in tuned}) == 1


def test_each_run_says_in_which_job_it_was_made(came_through):
    folder, jobs, _, _ = came_through
    for path in folder.glob("checkpoints/runs/**/manifest.json"):
        assert json.loads(path.read_text())["slurm_job"] in {job["jobarrayid"] for job in jobs}


def test_a_second_time_there_is_nothing_to_do(came_through):
    folder = came_through[0]
    again = subprocess.run(["snakemake", "--cores", "1"], cwd=folder, env=environment(), capture_output=True, text=True)
    assert "Nothing to be done" in again.stdout + again.stderr


def test_where_one_arm_fails_the_others_finish_and_are_reported(came_through, cluster):
    folder = came_through[0]
    edit(folder, failing)
    assert head(folder, "--retries", "0").wait(PATIENCE_SECONDS) != 0
    page = (folder / "results/cluster/partial/report.html").read_text()
    assert "Not in here, for they did not come through: 3b/scienceqa/ia3/seed0." in page
    status = subprocess.run(
        [sys.executable, "-m", "stages.status"], cwd=folder, env=environment(), capture_output=True, text=True
    )
    assert "tune 3b/scienceqa/ia3/seed0  SLURM " in status.stdout
    assert "step 2: loss is nan" in status.stdout
