"""One training over both nodes of the cluster, by srun and torch's launcher; cut short, it goes on over both."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from projects import edit, head, training, until, words

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]

RUN = "checkpoints/runs/3b/scienceqa/mores_b/seed0"


def on_both_nodes(raw: dict[str, Any]) -> None:
    raw["worlds"]["3b"]["engines"] = {"mores": {"kind": "deepspeed", "processes": 2, "nodes": 2}}


def test_a_run_trains_on_two_nodes_with_a_gpu_asked_for_on_each(project, cluster):
    edit(project, on_both_nodes)
    before = {job["jobarrayid"] for job in cluster.jobs()}
    running = head(project, f"{RUN}/manifest.json", "--retries", "0")
    assert running.wait(400) == 0, words(project)[-6000:]
    (job,) = [job for job in cluster.jobs() if job["jobarrayid"] not in before]
    assert job["nodelist"] == "n[1-2]"
    assert job["tres-per-node"].endswith("gpu:fake:1")
    told = json.loads((project / RUN / "manifest.json").read_text())
    assert told["slice"]["engine"]["nodes"] == 2
    losses = [json.loads(line)["loss"] for line in (project / RUN / "metrics.jsonl").read_text().splitlines()]
    assert len(losses) == told["steps"]


def slowly(raw: dict[str, Any]) -> None:
    on_both_nodes(raw)
    raw["worlds"]["3b"]["tune"] |= {"steps": 150, "checkpoint_every": 1000}  # saved when asked to, not before


def test_a_cancelled_run_of_two_nodes_saves_and_goes_on_over_both(project, cluster):
    edit(project, slowly)
    before = {job["jobarrayid"] for job in cluster.jobs()}
    running = head(project, f"{RUN}/manifest.json")
    until(training(project, above=2), "training")
    (job,) = [job for job in cluster.jobs() if job["jobarrayid"] not in before]
    subprocess.run(["scancel", job["jobarrayid"]], check=True)
    assert running.wait(400) == 0, words(project)[-6000:]
    jobs = [job for job in cluster.jobs() if job["jobarrayid"] not in before]
    assert [job["nodelist"] for job in jobs] == ["n[1-2]"] * 2
    told = json.loads((project / RUN / "manifest.json").read_text())
    assert told["resumed_from"] > 2
    steps = [json.loads(line)["step"] for line in (project / RUN / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 151))
