"""The papers' 3b world runs whole on files of the official shapes: every source, converter, benchmark and scorer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from standins import EXPERIMENT, stand_in
from test_workflow import ROOT, copied, jobs, snakemake

from steering.graph import Graph
from steering.params import load
from steering.plan import Plan

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # a whole world on a busy machine

PROMPT = "Grade the prediction.\n"
OUTCOMES = "results/runs/3b/multi_task"


class Grader(BaseHTTPRequestHandler):
    """An OpenAI-compatible endpoint that finds every answer half right."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        message = {"role": "assistant", "content": "0.5"}
        told = json.dumps({"id": "1", "model": "half", "choices": [{"index": 0, "message": message}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def judge() -> Iterator[dict[str, Any]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Grader)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    prompt = {"file": "prompt.txt", "sha256": sha256(PROMPT.encode()).hexdigest()}
    yield {"url": f"http://127.0.0.1:{server.server_port}/v1", "model": "half", "prompts": {"mmvet": prompt}}
    server.shutdown()


@pytest.fixture(scope="module")
def project(tmp_path_factory, judge, make_language_model, tokenizer) -> Path:
    """The finished world."""
    folder = copied(tmp_path_factory.mktemp("standin"))
    (folder / "prompt.txt").write_text(PROMPT)
    stand_in(folder, ROOT / "params.yaml", (make_language_model, tokenizer), judge)
    answer = snakemake(folder, "--cores", "2")
    assert answer.returncode == 0, answer.stdout[-4000:] + answer.stderr[-8000:]
    return folder


@pytest.fixture(scope="module")
def plan(project) -> Plan:
    return Plan(load(project / "params.yaml"))


def scores(project: Path, arm: str) -> dict[str, Any]:
    return {row["benchmark"]: row for row in json.loads((project / OUTCOMES / arm / "seed0/scores.json").read_text())}


@pytest.mark.parametrize("arm", EXPERIMENT["arms"])
def test_every_benchmark_is_scored(project, plan, arm):
    found = scores(project, arm)
    assert set(found) == set(plan.world("3b").benchmarks)
    for name, row in found.items():
        assert "unscored" not in row, f"{name}: {row.get('unscored')}"
        assert row["n"] > 0
        value = row["metrics"][row["metric"]]
        assert value["value"] is not None and value["low"] <= value["value"] <= value["high"], name


def test_all_questions_of_the_official_files_are_answered(project, plan):
    from steering.evaluate.benchmarks import FORMS

    for name, benchmark in plan.world("3b").benchmarks.items():
        root = project / "data/3b" / benchmark.dataset
        asked = FORMS[benchmark.form].examples(root, benchmark.splits["test"], benchmark.subset)
        assert scores(project, "none")[name]["n"] == len(asked)


def test_a_judge_s_grades_are_the_score(project):
    row = scores(project, "mores_b")["mmvet"]
    assert row["metrics"]["score"]["value"] == 0.5


def test_likelihood_forms_are_weighed(project):
    for name in ("hellaswag", "mmlu"):
        assert scores(project, "none")[name]["unparsed"] == 0


def test_text_alone_is_answered_as_by_the_control(project):
    """Both trained the connector, and MoReS edits visual tokens: neither shows where there is no picture."""
    arms = [scores(project, arm) for arm in EXPERIMENT["arms"]]
    for name in ("hellaswag", "mmlu"):
        first, second = (arm[name]["outcomes"]["correct"] for arm in arms)
        assert first == second


def test_both_stages_learnt_from_the_converted_data(project):
    for folder in ("checkpoints/connectors/3b/seed0", "checkpoints/runs/3b/multi_task/mores_b/seed0"):
        lines = (project / folder / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in lines] == [1, 2]


def test_the_report_names_every_benchmark(project, plan):
    table = (project / "results/standin/table.md").read_text()
    assert all(benchmark.title in table or name in table for name, benchmark in plan.world("3b").benchmarks.items())


def test_the_second_time_there_is_nothing_to_do(project):
    again = snakemake(project, "--cores", "2")
    assert "Nothing to be done" in again.stdout + again.stderr


def test_submission_files_are_written_on_demand(project):
    target = f"{OUTCOMES}/none/seed0/submissions/manifest.json"
    answer = snakemake(project, "--cores", "2", target)
    assert answer.returncode == 0, answer.stderr[-3000:]
    written = {path.name for path in (project / target).parent.rglob("*.*")}
    assert {"gqa.json", "mmmu.json", "mmvet.json", "existence.txt"} <= written


def test_a_dry_run_of_the_papers_table_lists_every_source_and_job(tmp_path):
    folder = copied(tmp_path)
    counts = jobs(snakemake(folder, "--dry-run", "3b_table1"))
    params = load(folder / "params.yaml")
    planned = Plan(params)
    wanted = [rule for rule, _ in Graph(planned).jobs("3b_table1")]
    assert {rule: wanted.count(rule) for rule in set(wanted)}.items() <= counts.items()
    assert counts["fetch"] >= 30
