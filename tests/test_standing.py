"""What is done, stale and missing, in a small project whose files were made by nothing but their slices."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from steering import layout
from steering.graph import OUTPUTS, SINGLE_FILES, Graph, words_of
from steering.job import contents
from steering.manifest import digest, write_json
from steering.params import load
from steering.plan import Plan
from steering.standing import Standing

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "tests/example.yaml").read_text(encoding="utf-8")
TABLE_JOBS = {"fetch": 5, "language_model": 1, "vision_encoder": 1, "dataset": 2, "check": 2, "features": 2}
TABLE_JOBS |= {"mixture": 1, "connector": 1, "tune": 3, "predict": 3, "score": 3, "attention": 3}
TABLE_JOBS |= {"report": 1, "track": 1}


class Project:
    """Files of an experiment and the record of what made those without a manifest."""

    def __init__(self) -> None:
        self.records: dict[Path, str] = {}

    def plan(self, text: str = TEXT) -> Plan:
        Path("params.yaml").write_text(text, encoding="utf-8")
        return Plan(load(Path("params.yaml")))

    def make(self, plan: Plan, rule: str, words: dict) -> None:
        output = OUTPUTS[rule](**words)
        content = getattr(plan, rule)(**words)
        if rule in SINGLE_FILES:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(json.dumps([rule, words, content]))
            self.records[output] = digest(content)
            return
        named = Graph(plan).inputs(rule, words)
        inputs = {name: contents(path) for name, path in named.items() if name not in ("vision", "encoder")}
        made = {"file": digest([rule, content, inputs])}
        write_json(output / "manifest.json", {"kind": rule, "slice": content, "inputs": inputs, "outputs": made})

    def finish(self, experiment: str = "table", text: str = TEXT) -> None:
        plan = self.plan(text)
        for rule, words in Graph(plan).jobs(experiment):
            self.make(plan, rule, words)

    def standing(self, text: str = TEXT) -> Standing:
        return Standing(self.plan(text), recorded=self.records.get)


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return Project()


def counts(standing: Standing, experiment: str = "table") -> dict[str, tuple[int, int, int]]:
    """Rule -> done, missing, stale; rules that are done throughout left out."""
    told = standing.jobs(experiment)
    return {rule: tuple(states.values()) for rule, states in told.items() if states["missing"] or states["stale"]}  # type: ignore[misc]


def edited(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new, 1)


def test_every_job_is_counted_once_and_missing_before_it_ran(project):
    assert counts(project.standing()) == {rule: (0, count, 0) for rule, count in TABLE_JOBS.items()}


def test_everything_is_done_once_it_was_made(project):
    project.finish()
    assert counts(project.standing()) == {}
    run = project.plan().runs("table")[0]
    assert set(project.standing().run(run).values()) == {"done"}


def test_another_experiment_of_the_same_world_finds_its_runs_done(project):
    project.finish()
    text = edited("world: long", "world: small").replace("seeds: [0, 3]", "seeds: [0]")
    assert counts(project.standing(text), "longer") == {"report": (0, 1, 0), "track": (0, 1, 0)}


def test_a_changed_arm_makes_its_own_runs_stale(project):
    project.finish()
    stale = dict.fromkeys(("tune", "predict", "score", "attention"), (2, 0, 1))
    found = counts(project.standing(edited("lora, rank: 8", "lora, rank: 4")))
    assert found == stale | {"report": (0, 0, 1), "track": (0, 0, 1)}


@pytest.mark.parametrize(
    ("old", "new", "first"),
    [
        ("turns: 2", "turns: 3", "mixture"),
        ("tune: {steps: 5,", "tune: {steps: 6,", "tune"),
        ("warm_start: {steps: 3", "warm_start: {steps: 4", "connector"),
        ("image_size: 64", "image_size: 32", "vision_encoder"),
        ("train: 8", "train: 9", "dataset"),
        ("settings: {seed: 0}}", "settings: {seed: 0}, faulty_pictures: exclude}", "check"),
        ("package: facts", "package: others", "fetch"),
        ("hidden_size: 64", "hidden_size: 32", "language_model"),
        ("form: vqa", "form: pope", "mixture"),
    ],
)
def test_what_rests_on_something_stale_is_never_done(project, old, new, first):
    project.finish()
    found = counts(project.standing(edited(old, new)))
    assert next(iter(found)) == first
    assert found["tune"] == found["predict"] == found["score"] == found["attention"] == (0, 0, 3)


def test_a_benchmark_asked_more_makes_answers_stale_but_no_training(project):
    project.finish()
    text = edited("ask: {questions: 4, per_picture: 1}, title: Shapes", "ask: {questions: 5, per_picture: 1}, title: S")
    found = counts(project.standing(text))
    assert "tune" not in found
    assert found["predict"] == (0, 0, 3)


IN_PARTS = TEXT.replace("    threads: 1\n", "    threads: 1\n    predict_parts: 2\n", 1)


def test_a_run_asked_in_parts_is_done_when_all_are(project):
    project.finish(text=IN_PARTS)
    assert counts(project.standing(IN_PARTS)) == {}
    run = words_of(project.plan(IN_PARTS).runs("table")[0])
    path = layout.prediction_part(**run, part=2) / "manifest.json"
    told = json.loads(path.read_text())
    write_json(path, told | {"outputs": {"file": "another"}})
    assert counts(project.standing(IN_PARTS))["predict"] == (2, 0, 1)
    path.unlink()
    found = counts(project.standing(IN_PARTS))
    assert (found["predict_part"], found["predict"], found["score"]) == ((5, 1, 0), (2, 0, 1), (2, 0, 1))


def test_as_many_parts_as_before_or_the_answers_are_stale(project):
    project.finish()
    assert counts(project.standing(IN_PARTS))["predict_part"] == (0, 6, 0)
    assert counts(project.standing(IN_PARTS))["predict"] == (0, 0, 3)


def test_an_input_made_anew_makes_what_was_made_of_it_stale(project):
    project.finish()
    path = layout.connector("small", 0) / "manifest.json"
    told = json.loads(path.read_text())
    write_json(path, told | {"outputs": {"file": "another"}})
    found = counts(project.standing())
    assert "connector" not in found
    assert found["tune"] == (0, 0, 3)


def test_attention_is_of_the_answers_that_are_there(project):
    project.finish()
    run = words_of(project.plan().runs("table")[0])
    path = layout.outcome(**run) / "predictions" / "manifest.json"
    told = json.loads(path.read_text())
    write_json(path, told | {"outputs": {"file": "another"}})
    found = counts(project.standing())
    assert (found["attention"], "predict" in found) == ((2, 0, 1), False)
    write_json(path, told)
    assert "attention" not in counts(project.standing())


def test_a_lost_file_leaves_nothing_above_it_done(project):
    project.finish()
    layout.mixture("small", "mix").unlink()
    found = counts(project.standing())
    assert found["mixture"] == (0, 1, 0)
    assert found["tune"] == (0, 0, 3)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "tune", "slice": {}, "inputs": []}', '{"kind": "tune"'])
def test_a_broken_manifest_is_stale(project, text):
    project.finish()
    run = project.plan().runs("table")[0]
    (layout.run(**words_of(run)) / "manifest.json").write_text(text)
    assert project.standing().of("tune", **words_of(run)) == "stale"


def test_an_input_of_an_unknown_name_is_stale(project):
    project.finish()
    run = project.plan().runs("table")[0]
    path = layout.run(**words_of(run)) / "manifest.json"
    told = json.loads(path.read_text())
    write_json(path, told | {"inputs": told["inputs"] | {"sound": "0"}})
    assert project.standing().of("tune", **words_of(run)) == "stale"


def test_a_file_that_nobody_recorded_is_stale(project):
    project.finish()
    project.records.clear()
    found = counts(project.standing())
    assert found["check"] == found["features"] == (0, 0, 2)
    assert found["score"] == (0, 0, 3)


def test_a_file_too_large_to_read_again_goes_by_its_time(project, monkeypatch):
    project.finish()
    monkeypatch.setattr("steering.standing.LARGE_BYTES", 0)
    features = layout.features("small", "pictures")
    os.utime(features, (1, 1))
    os.utime(layout.mixture("small", "mix"), (1, 1))
    os.utime(layout.features("small", "flags"), (1, 1))
    assert counts(project.standing()) == {}
    os.utime(features, (2**33, 2**33))
    assert counts(project.standing())["connector"] == (0, 0, 1)


def test_an_experiment_without_data_has_no_jobs(project):
    assert project.standing(edited("    data: mix\n", "")).jobs("table") == {}


@pytest.fixture
def dry_run(tmp_path) -> Callable[[str, str], dict[str, int]]:
    """Rule -> jobs of an experiment in an empty project, as Snakemake counts them."""

    def running(experiment: str, text: str) -> dict[str, int]:
        for name in ("Snakefile", "workflow"):
            (tmp_path / name).symlink_to(ROOT / name)
        (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        settings = {k: v for k, v in os.environ.items() if not k.startswith("SNAKEMAKE")}
        settings |= {"PATH": path, "PYTHONPATH": str(ROOT)}
        command = ["snakemake", "--dry-run", experiment]
        done = subprocess.run(command, cwd=tmp_path, env=settings, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        table = (done.stdout + done.stderr).split("Job stats:")[1].split("\n\n")[0]
        return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}

    return running


PROMPT = f"{{file: p.txt, sha256: '{'0' * 64}'}}"
JUDGE = f"judges:\n  gpt: {{url: 'http://host/v1', model: m, prompts: {{hallusion: {PROMPT}}}}}\n\n"
GRADED = TEXT.replace("form: vqa", "form: hallusion", 1)
JUDGED = GRADED.replace("worlds:\n", f"{JUDGE}worlds:\n", 1).replace(
    "    template: chatml\n", "    template: chatml\n    judge: gpt\n", 1
)


def test_a_judge_stands_between_predictions_and_scores(project):
    graph, run = Graph(project.plan(JUDGED)), {"world": "small", "data": "mix", "arm": "low", "seed": 0}
    assert graph.run_rules("small", "mix") == ["tune", "predict", "judge", "score", "attention"]
    assert list(graph.above("judge", run)) == [("predict", run)]
    assert ("judge", run) in list(graph.above("score", run))
    assert Counter(rule for rule, _ in graph.jobs("table")) == TABLE_JOBS | {"judge": 3}
    assert "judge" not in Graph(project.plan(GRADED)).run_rules("small", "mix")


def test_a_new_judge_leaves_the_scores_stale_and_the_runs_done(project):
    project.finish(text=GRADED)
    stale = {"score": (0, 0, 3), "report": (0, 0, 1), "track": (0, 0, 1)}
    assert counts(project.standing(JUDGED)) == {"judge": (0, 3, 0), **stale}


@pytest.mark.slow
@pytest.mark.parametrize("text", [TEXT, JUDGED, IN_PARTS], ids=["plain", "judged", "in parts"])
def test_the_graph_has_the_jobs_that_snakemake_plans(project, dry_run, text):
    counted = Counter(rule for rule, _ in Graph(project.plan(text)).jobs("longer"))
    assert counted["predict_part"] == (2 * counted["predict"] if text == IN_PARTS else 0)
    told = dry_run("longer", text)
    assert {rule: told[rule] for rule in counted} == counted
    assert set(told) - set(counted) == {"longer", "total", "tracking_database"}
