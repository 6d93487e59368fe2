"""What runs left behind is read back: answers by benchmark and split, scores apart from what has none."""

from __future__ import annotations

import json

import pytest

from steering import layout
from steering.evaluate.results import answers_of, read_results
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
    (outcome / "predictions").mkdir()
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
