"""The workflow asks for every job once, reruns only what an edit concerns, and refuses a wrong params.yaml at once."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image

from steering.params import load
from steering.params.worlds import FormName

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "tests/example.yaml"
PARAMS = load(ROOT / "params.yaml")
RUN_RULES = ("tune", "predict", "score", "attention")
NOTHING = "Nothing to be done"

Answer = subprocess.CompletedProcess


def lint_module():
    spec = importlib.util.spec_from_file_location("workflow_lint", ROOT / "workflow/lint.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


lint = lint_module()


def copied(folder: Path, params: Path = ROOT / "params.yaml") -> Path:
    shutil.copytree(ROOT / "workflow", folder / "workflow", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", folder)
    shutil.copy(params, folder / "params.yaml")
    return folder


def snakemake(folder: Path, *arguments: str) -> Answer:
    """Called by its path, as by a user who has not activated the environment: the stages have to find it."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("SNAKEMAKE")}
    environment = Path(sys.executable).parent
    path = os.pathsep.join(part for part in known.get("PATH", "").split(os.pathsep) if Path(part) != environment)
    settings = {**known, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = [str(environment / "snakemake"), *arguments]
    return subprocess.run(words, cwd=folder, env=settings, capture_output=True, text=True)


def jobs(answer: Answer) -> dict[str, int]:
    """Rule -> number of jobs, as a dry run counts them."""
    assert answer.returncode == 0, answer.stderr
    lines = (answer.stdout + answer.stderr).split("Job stats:")[1].split("\n\n")[0].splitlines()
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", "\n".join(lines), re.MULTILINE)}


def expected(experiment: str) -> dict[str, int]:
    """How many jobs an experiment is made of, counted from params.yaml alone."""
    wanted = PARAMS.experiments[experiment]
    world, runs = PARAMS.worlds[wanted.world], len(wanted.arms) * len(wanted.seeds)
    sources = {source for dataset in world.datasets.values() for source in dataset.sources}
    sources |= {
        PARAMS.language_models[world.language_model].source,
        PARAMS.vision_encoders[world.vision_encoder].source,
    }
    counts = {"fetch": len(sources)} | dict.fromkeys(("dataset", "check", "features"), len(world.datasets))
    counts["connector"] = len(wanted.seeds) if world.pretrain and world.pretrain.per_seed else 1
    once = ("language_model", "vision_encoder", "mixture", "report", "track", "tracking_database")
    return counts | dict.fromkeys(RUN_RULES, runs) | dict.fromkeys(once, 1)


@pytest.fixture
def project(tmp_path) -> Path:
    """The project's workflow with its own params.yaml."""
    return copied(tmp_path)


@pytest.fixture
def example(tmp_path) -> Path:
    return copied(tmp_path, EXAMPLE)


def made_up(path: Path, text: str) -> None:
    """An output in place of a job's: a file with *text*, or the folder of a report's figures with one of them."""
    (path if path.name == "figures" else path.parent).mkdir(parents=True, exist_ok=True)
    if path.name == "figures":
        Image.new("RGB", (8, 8), "red").save(path / "differences.png")
    else:
        path.write_text(text)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A project whose experiment is done: every output is there, and Snakemake accepts it."""
    folder = copied(tmp_path_factory.mktemp("finished"), EXAMPLE)
    table = snakemake(folder, "--summary")
    assert table.returncode == 0, table.stderr
    for line in table.stdout.splitlines()[1:]:
        path = folder / line.split("\t")[0]
        made_up(path, f"{line}\n")
    touched = snakemake(folder, "--touch", "--forceall", "--cores", "1")
    assert touched.returncode == 0, touched.stderr
    return folder


@pytest.fixture
def edited(finished) -> Callable[[str, str], Answer]:
    """A dry run of the finished experiment after an edit of params.yaml; the edit is taken back afterwards."""
    path = finished / "params.yaml"
    before = path.read_text(encoding="utf-8")

    def editing(old: str, new: str) -> Answer:
        assert old in before
        path.write_text(before.replace(old, new, 1), encoding="utf-8")
        return snakemake(finished, "--dry-run")

    yield editing
    path.write_text(before, encoding="utf-8")


@pytest.mark.parametrize("name", ["", "smoke"])
def test_an_experiment_is_planned_whole(project, name):
    counts = expected(name or PARAMS.default) | {name or "all": 1}
    assert jobs(snakemake(project, "--dry-run", *name.split())) == counts | {"total": sum(counts.values())}


def test_first_seeds_of_every_experiment_are_planned_with_the_words_of_the_command_line(example):
    whole, first = (
        snakemake(example, "--dry-run", "all_long", *words) for words in ([], ["--config", "first_seeds=1"])
    )
    assert [jobs(answer)["tune"] for answer in (whole, first)] == [6, 3]
    refused = snakemake(example, "--dry-run", "all_long", "--config", "first_seeds=0")
    assert refused.returncode == 2
    assert refused.stderr.splitlines() == ["first_seeds: 0 is not allowed; allowed a whole number from 1"]


def test_comments_key_order_and_new_times_run_nothing(edited, finished):
    later = time.time() + 60
    for path in (finished / "data").rglob("manifest.json"):
        os.utime(path, (later, later))  # the same bytes
    answer = edited("lora, rank: 8, alpha: 16", "lora,  # a comment\n    alpha: 16, rank: 8")
    assert answer.returncode == 0, answer.stderr
    assert NOTHING in answer.stdout + answer.stderr


def test_another_rank_runs_its_own_arm_alone(edited):
    again = dict.fromkeys((*RUN_RULES, "report", "track", "all"), 1)
    assert jobs(edited("lora, rank: 8", "lora, rank: 4")) == again | {"total": len(again)}


def test_a_wrong_params_file_ends_with_all_faults_and_code_2(example):
    path = example / "params.yaml"
    text = path.read_text().replace("alpha: 16", "alhpa: 16").replace("default: table", "default: tabel")
    path.write_text(text.replace("form: vqa,", "form: vaq,"))
    answer = snakemake(example, "--dry-run")
    assert answer.returncode == 2
    *first, last = (repr(name) for name in get_args(FormName))
    forms = f"{', '.join(first)} or {last}"
    assert answer.stderr.splitlines() == [
        f"params.yaml: worlds.small.benchmarks.shapes.form: found 'vaq'; allowed: {forms} (did you mean vqa?)",
        "params.yaml: arms.low.alhpa: unknown; allowed here: method, rank, alpha, dropout, targets "
        "(did you mean alpha?)",
        "params.yaml: default: tabel is unknown; allowed: table, longer (did you mean table?)",
    ]


def test_submission_files_are_made_for_who_asks_for_them_and_for_no_report(example):
    path = "results/runs/small/mix/low/seed0/submissions/manifest.json"
    asked = jobs(snakemake(example, "--dry-run", path))
    assert (asked["submit"], asked["predict"]) == (1, 1)
    assert {"score", "report"}.isdisjoint(asked)
    assert "submit" not in jobs(snakemake(example, "--dry-run"))


@pytest.mark.parametrize(
    "asked", ["tabel", "results/runs/small/mix/lwo/seed0/scores.json", "data/smal/mixtures/mix.json"]
)
def test_a_mistyped_target_fails_by_name(example, asked):
    answer = snakemake(example, "--dry-run", asked)
    assert answer.returncode == 1
    assert f"No rule to produce {asked}" in answer.stdout + answer.stderr
    assert ("tabel: no such target (did you mean table?)" in answer.stderr.splitlines()) == (asked == "tabel")
    assert "Traceback" not in answer.stdout + answer.stderr


def test_another_worlds_mixture_in_a_path_fails_by_name(project):
    asked = "results/runs/7b/task_blank/none/seed0/scores.json"
    answer = snakemake(project, "--dry-run", asked)
    assert answer.returncode == 1
    assert f"No rule to produce {asked}" in answer.stdout + answer.stderr
    assert "Traceback" not in answer.stdout + answer.stderr
    assert jobs(snakemake(project, "--dry-run", asked.replace("7b/", "embedded/")))["tune"] >= 1


def test_lint_finds_nothing_but_what_is_meant(project):
    report = snakemake(project, "--lint")
    found = list(lint.findings(report.stdout + report.stderr))
    assert len(found) > 10
    assert lint.faults(found, lint.ALLOWED) == []


def test_every_allowance_of_lint_has_its_reason():
    assert all(len(reason.split()) > 3 for reason in lint.ALLOWED.values())


REPORT = """Lints for snakefile /some/where/rules/data.smk:
    * Absolute path "/data" in line 3:
      Do not define absolute paths.

Lints for rule tune (line 6, /some/where/rules/tune.smk):
    * No log directive defined:
      Without a log directive, all output will be printed to the terminal.
"""


def test_lint_reads_findings_by_rule_and_file():
    assert list(lint.findings(REPORT)) == [
        ("data.smk", 'Absolute path "/data" in line 3'),
        ("tune", "No log directive defined"),
    ]


def test_lint_tells_the_new_and_the_outdated():
    allowed = {"tune: No log directive": "said on the terminal", "fetch: No log directive": "there is one now"}
    assert lint.faults(lint.findings(REPORT), allowed) == [
        'data.smk: Absolute path "/data" in line 3',
        "fetch: No log directive: allowed, but no longer found",
    ]
