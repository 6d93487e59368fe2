"""Every experiment of the papers' worlds parses, and its dry run has the jobs that the plan counts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from steering.params import load
from steering.plan import Plan
from steering.standing import Standing

ROOT = Path(__file__).resolve().parent.parent
PAPERS = ("3b", "7b", "13b", "mrt")
PARAMS = load(ROOT / "params.yaml")
EXPERIMENTS = [name for name, told in PARAMS.experiments.items() if told.world in PAPERS]
APART = {"tracking_database"}
"""Made once for all experiments, which no plan counts; so is the target itself."""


def test_each_of_them_can_be_run():
    assert all(PARAMS.experiments[name].data for name in EXPERIMENTS)
    assert {PARAMS.experiments[name].world for name in EXPERIMENTS} == set(PAPERS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_dry_run_has_the_jobs_of_the_plan(name, tmp_path, monkeypatch):
    for part in ("Snakefile", "params.yaml", "workflow", "steering", "stages"):
        (tmp_path / part).symlink_to(ROOT / part)
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", "--cores", "1", name]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    rows = re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, flags=re.MULTILINE)
    dry = {rule: int(count) for rule, count in rows if rule not in APART | {name, "total"}}
    planned = {rule: sum(states.values()) for rule, states in Standing(Plan(PARAMS)).jobs(name).items()}
    assert dry == planned
