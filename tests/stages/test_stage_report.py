"""Report and track read what the runs left on disk: one offline page, one table, and MLflow shown the same once."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import invented
import pytest
from mlflow import MlflowClient

from stages import report, track, tracking_database
from steering import layout
from steering.analyse.figures import arm_colours
from steering.data.shards import write_images
from steering.manifest import read_json, write_json

ARMS = ("none", "mores_b")
WORLD, DATA, SEED = "embedded", "icons", 0
FOLDER = layout.experiment("table")


def put_run(arm: str) -> None:
    names = (WORLD, DATA, arm, SEED)
    trained, outcome = layout.run(*names), layout.outcome(*names)
    write_json(trained / "manifest.json", invented.manifest(arm, SEED))
    write_json(trained / "adapter" / "adapter_base.json", {"method": arm})
    (trained / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in invented.history(arm, SEED)))
    write_json(outcome / "scores.json", [invented.score_file(arm, SEED, name) for name in invented.BENCHMARKS])
    write_json(outcome / "attention" / "attention.json", invented.attention(arm, SEED))
    write_json(outcome / "predictions" / "manifest.json", {"slice": {"logits": "float32"}})
    with (outcome / "predictions" / "predictions.jsonl").open("w", encoding="utf-8") as file:
        for name in invented.BENCHMARKS:
            for row in invented.predictions(arm, SEED, name):
                file.write(json.dumps({"benchmark": name, "split": "test", "picture": row["image"], **row}) + "\n")


def slice_of() -> dict[str, Any]:
    experiment = {"title": "A table", "question": "Which arm?", "world": WORLD, "data": DATA, "arms": list(ARMS)}
    source = {"version": "1.0", "licence": "MIT", "attribution": "someone"}
    return {
        "name": "table",
        "experiment": experiment | {"seeds": [SEED], "split": "test", "control": "none"},
        "benchmarks": {name: {"dataset": "pictures"} for name in invented.BENCHMARKS},
        "arms": {arm: {"method": invented.METHODS[arm]} for arm in ARMS},
        "model": {
            "language_model": {"name": "lm", "dtype": "float32"},
            "vision_encoder": {"name": "eye", "tokens": 16},
            "connector": "linear",
            "template": "chatml",
        },
        "depths": {"layers": 30, "vision_layers": 14},
        "sources": {"wheel": source},
        "runs": [{"world": WORLD, "data": DATA, "arm": arm, "seed": SEED} for arm in ARMS],
    }


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> dict[str, Any]:
    """The slice of an experiment whose runs are done and whose report is written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("project"))
        names = sorted({row["image"] for row in invented.predictions("none", SEED, "icons-pope")})
        shown = [(name, invented.picture("", name)) for name in names]
        write_images(layout.dataset(WORLD, "pictures"), shown)
        for arm in ARMS:
            put_run(arm)
        content = slice_of()
        report.main(content)
        yield content


def test_the_report_is_one_page_that_loads_nothing_from_outside(content):
    page = (FOLDER / "report.html").read_text(encoding="utf-8")
    assert "A table" in page
    loaded = re.findall(r"""(?:src|href)=["']?(?!data:|#)([^"'> ]+)|url\((?!["']?data:)([^)]+)\)""", page)
    assert [found for found in loaded if "http" in "".join(found)] == []
    assert not re.search(r"<(script|link|img|iframe)[^>]+https?://", page)


def test_the_table_has_rows_for_every_arm_and_guesser(content):
    with (FOLDER / "table.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {(row["arm"], row["benchmark"]) for row in rows} == {
        (arm, name) for arm in (*ARMS, "blind", "majority") for name in invented.BENCHMARKS
    }


def test_of_tuned_runs_that_runs_start_from_the_scores_that_there_are_stand_beside(content):
    start = {"world": WORLD, "data": DATA, "arm": "none", "seed": SEED}
    labels = {("task", "icons-pope"): "icons-pope"}
    content = content | {"starts": {"task": [start, start | {"seed": 9}]}}
    (found,) = report.start_scores(content, "task", labels)
    own = invented.score_file("none", SEED, "icons-pope")
    assert (found["arm"], found["data"], found["seed"], found["benchmark"]) == ("start", "task", SEED, "icons-pope")
    assert found["metrics"] == own["metrics"]


def test_every_declared_output_is_written(content):
    assert {"report.html", "table.csv", "table.md", "scores.png"} <= {path.name for path in FOLDER.iterdir()}


def test_the_table_is_the_same_when_written_again(content):
    before = {name: (FOLDER / name).read_bytes() for name in ("table.csv", "table.md")}
    report.main(content)
    assert {name: (FOLDER / name).read_bytes() for name in before} == before


def test_what_the_experiment_does_not_ask_for_is_not_shown_whoever_measured_it(content):
    """Whether it is there yet depends on which report is made first."""
    before = (FOLDER / "report.html").read_bytes()
    write_json(layout.analysis(WORLD, DATA, "none", SEED, "maps") / "manifest.json", {})
    write_json(layout.overhead("table"), {})
    report.main(content)
    assert (FOLDER / "report.html").read_bytes() == before


def test_pictures_are_found_by_the_names_of_tables_and_of_analyses(content):
    name = invented.predictions("none", SEED, "icons-pope")[0]["image"]
    labels = {(DATA, "icons-pope"): "icons-pope (icons)"}
    picture = report.pictures(content | {"analysed": {"hidden": "pictures"}}, labels)
    assert picture("icons-pope (icons)", name) == picture("hidden", name) == invented.picture("", name)


def test_tracking_twice_shows_the_same_runs(content, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracking_database.main(Path("mlflow.ready"))
    track.main(content)
    first = read_json(FOLDER / "tracked.json")
    assert set(first["runs"]) == {f"{WORLD}/{DATA}/{arm}/seed{SEED}" for arm in ARMS}
    track.main(content)
    assert read_json(FOLDER / "tracked.json") == first


@pytest.fixture
def without_one_run(content):
    """The experiment's slice where only one of its runs came through; the other's old scores are still there."""
    return content | {"there": [f"{WORLD}/{DATA}/none/seed{SEED}"]}


def test_what_came_through_is_reported_where_a_run_did_not(without_one_run):
    before = (FOLDER / "report.html").read_bytes()
    report.main(without_one_run)
    page = (layout.partial_report("table") / "report.html").read_text(encoding="utf-8")
    assert f"Not in here, for they did not come through: {WORLD}/{DATA}/mores_b/seed{SEED}." in page
    assert "not run" in (layout.partial_report("table") / "table.md").read_text(encoding="utf-8")
    assert (FOLDER / "report.html").read_bytes() == before


def test_the_whole_report_takes_the_partial_one_s_place(content):
    layout.partial_report("table").mkdir(exist_ok=True)
    report.main(content)
    assert not layout.partial_report("table").exists()


def test_a_tracked_run_has_its_attention_and_files_and_its_table_the_figures(content):
    told = read_json(FOLDER / "tracked.json")
    client = MlflowClient(f"sqlite:///{layout.DATABASE}")
    run = told["runs"][f"{WORLD}/{DATA}/mores_b/seed{SEED}"]
    assert len(client.get_metric_history(run, "attention/lmar")) == 30
    files = {file.path for file in client.list_artifacts(run)}
    assert files == {"manifest.json", "scores.json", "attention.json", "card.md", "adapter_base.json"}
    shown = {file.path for file in client.list_artifacts(told["parent"])}
    assert shown == {"report.html", "table.csv", "table.md", *(path.name for path in FOLDER.glob("*.png"))}
    assert "scores.png" in shown
    assert client.get_run(run).data.tags["mlflow.runColor"] == arm_colours(ARMS)["mores_b"]


def test_it_tells_how_far_pretraining_brought_each_connector(here):
    manifests = [{"world": "w", "slice": {"pretrain_seed": seed}} for seed in (0, 1, 1)]
    for seed, losses in {0: [9.0] * 18 + [2.0, 4.0], 1: [0.5]}.items():
        path = layout.connector("w", seed) / "metrics.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text("".join(json.dumps({"step": at, "loss": loss}) + "\n" for at, loss in enumerate(losses, 1)))
    (told,) = report.connector_notes(manifests)
    assert told.endswith("of 3.00 (seed 0), 0.50 (seed 1).")
    assert report.connector_notes([{"world": "w", "slice": {"pretrain_seed": 7}}]) == []
