"""One training over both nodes of the cluster, by srun and torch's launcher."""

from __future__ import annotations

import json
from typing import Any

import pytest
from projects import edit, head, words

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
    assert job["tres-per-node"].endswith("gpu:1")
    told = json.loads((project / RUN / "manifest.json").read_text())
    assert told["slice"]["engine"]["nodes"] == 2
    losses = [json.loads(line)["loss"] for line in (project / RUN / "metrics.jsonl").read_text().splitlines()]
    assert len(losses) == told["steps"]
