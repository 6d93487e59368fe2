"""What runs left behind is read back: answers by benchmark and split, scores apart from what has none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from steering import layout
from steering.evaluate.results import answers_of, of_start, read_results, shown
from steering.manifest import write_json

RUN = {"world": "tiny", "data": "mix", "arm": "none", "seed": 0}


@pytest.fixture
def left(tmp_path, monkeypatch):
    """One run with three entries of a score file, one of them of another split."""
    monkeypatch.chdir(tmp_path)
    trained, outcome = layout.run(**RUN), layout.outcome(**RUN)
    write_json(trained / "manifest.json", {"run": "tiny/mix/none/seed0"})
    (trained / "metrics.jsonl").write_text('{"step": 1, "loss": 1.0}\n')
    write_json(outcome / "attention" / "attention.json", {})
    scores = [{"benchmark": "pope", "split": split, "metrics": {}} for split in ("test", "val")]
    write_json(outcome / "scores.json", [*scores, {"benchmark": "mmvet", "split": "test", "unscored": "no judge"}])
    lines = [("pope", "val", 1), ("pope", "test", 2), ("mmvet", "test", 3), ("pope", "test", 4)]
    write_json(outcome / "predictions" / "manifest.json", {"slice": {"logits": "float32"}})
    (outcome / "predictions" / "predictions.jsonl").write_text(
        "".join(json.dumps({"benchmark": name, "split": split, "id": n}) + "\n" for name, split, n in lines)
    )
    return outcome


def test_answers_stand_by_benchmark_and_split_in_the_order_of_the_file(left):
    found = {key: [record["id"] for record in records] for key, records in answers_of(left).items()}
    assert found == {("mmvet", "test"): [3], ("pope", "test"): [2, 4], ("pope", "val"): [1]}
    assert list(found) == sorted(found)


def test_what_has_no_score_is_not_among_the_scores(left):
    (result,) = read_results([RUN], split="test")
    assert [score["benchmark"] for score in result.scores] == ["pope"]
    assert [(entry["benchmark"], entry["unscored"]) for entry in result.unscored] == [("mmvet", "no judge")]
    assert {name: len(records) for name, records in result.predictions.items()} == {"mmvet": 1, "pope": 2}
    assert result.answered == {"slice": {"logits": "float32"}}


def scored(benchmark: str, ids: list[str]) -> dict[str, Any]:
    columns = {"id": ids, "group": [f"of {name}" for name in ids], "correct": [int(name == "b") for name in ids]}
    return {**RUN, "benchmark": benchmark, "outcomes": columns}


def test_tables_have_questions_in_one_order_whatever_else_a_run_was_asked():
    first, second = (shown([scored("pope", ids)], {"pope": "POPE"}) for ids in (["b", "a", "c"], ["c", "b", "a"]))
    assert first == second
    (entry,) = first
    assert entry["benchmark"] == "POPE"
    assert entry["outcomes"] == {"id": ["a", "b", "c"], "group": ["of a", "of b", "of c"], "correct": [0, 1, 0]}


def test_a_start_stands_on_each_data_that_runs_start_from_it_on_with_what_those_are_asked():
    labels = {("few", "pope"): "pope (few)", ("many", "pope"): "pope (many)", ("many", "vqa"): "vqa"}
    scores = [scored("pope", ["a"]), scored("vqa", ["a"]), scored("gqa", ["a"])]
    found = {data: of_start(scores, data, labels) for data in ("few", "many")}
    assert [entry["benchmark"] for entry in found["few"]] == ["pope (few)"]
    assert [entry["benchmark"] for entry in found["many"]] == ["pope (many)", "vqa"]
    assert {(entry["arm"], entry["data"]) for entry in found["many"]} == {("start", "many")}
