"""`python -m stages.status`: what is done, what runs how far, what failed and why, and who decides here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from programs import Program, in_front
from test_slurm import line
from test_standing import Project

from steering import layout
from steering.attempts import Attempt
from steering.graph import Graph
from steering.heads import Head
from steering.manifest import code_digest, digest, read_json, write_json
from steering.plan import Plan
from steering.slurm import SlurmJob
from steering.status import VANISHED, Status

ROOT = Path(__file__).resolve().parent.parent.parent
EDIT = {"world": "small", "data": "mix", "arm": "edit", "seed": 0}


def attempt(plan: Plan, rule: str, words: dict, **told) -> None:
    made = replace(Attempt.here(), **told)
    write_json(layout.attempt(rule, digest(getattr(plan, rule)(**words))), asdict(made))


def say(rule: str, words: dict, *lines: str) -> None:
    path = layout.log(rule, **words)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines))


@pytest.fixture
def project(here) -> Project:
    """The example, all done but the run of the arm `edit`."""
    made = Project()
    made.finish()
    shutil.rmtree(layout.run(**EDIT))
    return made


@pytest.fixture
def plan(project) -> Plan:
    return project.plan()


def told(project: Project, queue=()) -> dict:
    return Status(project.plan(), project.standing(), queue).experiment("table")


def test_done_jobs_are_counted_and_nobody_is_at_work(project):
    status = told(project)
    assert status["jobs"]["tune"] == {"done": 2, "missing": 1, "stale": 0}
    assert (status["running"], status["failed"]) == ([], [])


def test_a_running_job_tells_where_and_how_far(project, plan):
    attempt(plan, "tune", EDIT)
    say("tune", EDIT, "warning", "step: 76/120, 139 s left (3.16 s each)", "something else")
    (running,) = told(project)["running"]
    assert (running["rule"], running["job"], running["pid"]) == ("tune", "small/mix/edit/seed0", os.getpid())
    assert running["progress"] == "step: 76/120, 139 s left (3.16 s each)"


def test_a_failed_job_tells_why_and_where_more_is_said(project, plan):
    attempt(plan, "tune", EDIT, fault="the loss is nan at step 7", exit_code=2, ended="2026-01-01T00:00:00+00:00")
    (failed,) = told(project)["failed"]
    assert (failed["standing"], failed["why"]) == ("failed", "the loss is nan at step 7")
    assert failed["log"] == "logs/tune/small/mix/edit/seed0.log"


def test_a_job_that_was_killed_is_told_as_such(project, plan):
    attempt(plan, "tune", EDIT, pid=2**22 + 7)
    (failed,) = told(project)["failed"]
    assert (failed["standing"], failed["why"]) == ("vanished", VANISHED)


def test_a_job_in_slurm_tells_its_node(project, plan):
    attempt(plan, "tune", EDIT, slurm_job="7_2", host="batch")
    job = SlurmJob("7_2", "steering_1f", "RUNNING", "None", "n2", "59:00", "rule_tune", str(Path.cwd()))
    (running,) = told(project, [job])["running"]
    assert (running["slurm_job"], running["host"]) == ("7_2", "n2")


def test_an_attempt_at_what_is_done_by_now_is_not_told(project, plan):
    none = EDIT | {"arm": "none"}
    attempt(plan, "tune", none, fault="out of memory", exit_code=2, ended="2026-01-01T00:00:00+00:00")
    assert told(project)["failed"] == []


def test_what_other_code_made_is_counted_by_commit(project):
    for arm, code in (("none", "other"), ("low", code_digest())):
        path = layout.run(**EDIT | {"arm": arm}) / "manifest.json"
        write_json(path, read_json(path) | {"code": code, "commit": f"{arm}1"})
    older = [entry for entry in told(project)["older_than_the_code"] if entry["rule"] == "tune"]
    assert older == [{"rule": "tune", "commit": "none1", "jobs": 1}]


def test_waiting_jobs_are_counted_by_reason(project):
    def job(number: int, reason: str) -> SlurmJob:
        return SlurmJob(str(number), "steering_1f", "PENDING", reason, "", "", "rule_tune", str(Path.cwd()))

    queue = [job(1, "Resources"), job(2, "Priority"), job(3, "Priority")]
    waiting = Status(project.plan(), project.standing(), queue).waiting()
    assert waiting == [{"reason": "Priority", "jobs": 2}, {"reason": "Resources", "jobs": 1}]


def command(folder: Path, *words: str) -> subprocess.CompletedProcess:
    settings = os.environ | {"PATH": in_front(folder / "programs"), "PYTHONPATH": str(ROOT)}
    typed = [sys.executable, "-m", "stages.status", "--params", str(ROOT / "tests/example.yaml"), *words]
    return subprocess.run(typed, cwd=folder, env=settings, capture_output=True, text=True)


@pytest.fixture
def squeue(here) -> Program:
    (here / "programs").mkdir()
    return Program(here / "programs", "squeue", [{"stdout": line("8", "PENDING", reason="Priority", folder=here)}])


def test_the_default_experiment_the_queue_and_the_head_are_told(here, squeue):
    answer = command(here)
    assert answer.returncode == 0, answer.stderr
    lines = answer.stdout.splitlines()
    assert lines[0] == "table: A table"
    assert lines[1] == f"  0 of {len(Graph(Project().plan()).jobs('table'))} jobs done, 0 running, 0 failed"
    assert lines[-3:] == ["Waiting in SLURM: 1 for Priority", "", "No snakemake runs here."]


def test_a_dead_head_is_told_with_what_goes_on(here, squeue):
    write_json(layout.HEAD, asdict(replace(Head.here(submits=True), arguments=["table"], pid=2**22 + 7)))
    last = command(here).stdout.splitlines()[-1]
    assert last.startswith("Killed: `snakemake table` of ") and last.endswith("`make resume` goes on.")


def test_a_silent_slurm_does_not_keep_the_rest_from_being_told(here, squeue):
    write_json(layout.HEAD, asdict(Head.here(submits=True)))
    Program(here / "programs", "squeue", [{"stdout": "", "stderr": "no controller\n", "code": 1}])
    assert "SLURM does not say what runs: squeue: no controller" in command(here).stdout


def test_it_is_told_for_machines_too(here, squeue):
    content = json.loads(command(here, "longer", "--json").stdout)
    assert [entry["experiment"] for entry in content["experiments"]] == ["longer"]


def test_an_unknown_experiment_is_refused_in_one_line(here, squeue):
    answer = command(here, "tabel")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr == "experiment: tabel is unknown; allowed table, longer (did you mean table?)\n"
