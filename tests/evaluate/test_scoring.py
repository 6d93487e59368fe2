"""A score is the form's outcomes added up, with intervals, baselines and every question's outcome, ready for JSON."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from steering.errors import DataError
from steering.evaluate.benchmarks import FORMS, Example
from steering.evaluate.scoring import (
    FIELDS,
    example_of,
    prediction_of,
    read_predictions,
    score,
    unscored,
    without_references,
)

POPE, SCIENCEQA = FORMS["pope"], FORMS["scienceqa"]


def example(number, target, question="Is there a cat?", category="random"):
    return Example(f"{category}/{number}", "a.png", question, target, (target,), question=question, category=category)


def predictions(answers, targets, groups=None):
    groups = groups or [str(n) for n in range(len(answers))]
    rows = zip(answers, targets, groups, strict=True)
    return [prediction_of(example(n, target), group=group, answer=said) for n, (said, target, group) in enumerate(rows)]


def test_score_counts_unparsed_as_wrong_and_names_them():
    found = score(POPE, predictions(["Yes", "", "no"], ["yes", "no", "yes"]), resamples=50)
    assert (found["n"], found["unparsed"]) == (3, 1)
    assert found["metrics"]["accuracy"]["value"] == pytest.approx(1 / 3)
    assert found["outcomes"]["correct"] == [1, 0, 0]
    assert found["outcomes"]["parsed"] == [1, 0, 1]


def test_score_holds_what_a_score_file_needs_and_is_strict_json():
    found = score(POPE, predictions(["no", "no"], ["yes", "no"]), train_examples=[example(9, "yes")], resamples=50)
    again = json.loads(json.dumps(found, allow_nan=False))
    assert (again["form"], again["version"], again["metric"]) == ("pope", POPE.version, "accuracy")
    assert set(again["metrics"]) == set(POPE.metrics)
    assert again["metrics"]["precision"] == {"value": None, "low": None, "high": None}
    assert again["metrics"]["accuracy_popular"]["value"] is None
    assert {"id", "group", "correct", "parsed", "blind_correct", "majority_correct"} <= set(again["outcomes"])
    assert {len(column) for column in again["outcomes"].values()} == {2}
    assert "2 groups, 50 resamples" in again["protocol"]["interval"]


def test_baselines_are_scored_by_the_same_form():
    train = [example(n, "no") for n in range(3)] + [example(n, "yes", "Is there a dog?") for n in range(2)]
    asked = predictions(["no"] * 4, ["yes", "no", "no", "yes"])
    for row in asked[2:]:
        row["question"] = "Is there a dog?"
    found = score(POPE, asked, train_examples=train, resamples=50)
    assert found["outcomes"]["blind_correct"] == [0, 1, 0, 1]
    assert found["outcomes"]["majority_correct"] == [0, 1, 1, 0]
    assert found["baselines"]["blind"]["yes_ratio"]["value"] == 0.5
    assert set(found["baselines"]["majority"]) == set(POPE.metrics)


def test_without_train_questions_there_are_no_baselines():
    found = score(POPE, predictions(["no"], ["no"]), resamples=10)
    assert found["baselines"] == {}
    assert "blind_correct" not in found["outcomes"]


def test_interval_resamples_groups():
    answers, targets = ["yes", "no"] * 50, ["yes"] * 100
    pictures = [str(n % 2) for n in range(100)]
    spread = score(POPE, predictions(answers, targets))["metrics"]["accuracy"]
    clustered = score(POPE, predictions(answers, targets, pictures))["metrics"]["accuracy"]
    assert spread["high"] - spread["low"] < 0.25
    assert (clustered["low"], clustered["high"]) == (0, 1)


def test_same_seed_gives_the_same_score():
    rows = predictions(["yes", "no"] * 10, ["yes"] * 20)
    assert score(POPE, rows, seed=3, resamples=100) == score(POPE, rows, seed=3, resamples=100)


def test_outcomes_alone_give_the_metrics_back():
    found = score(POPE, predictions(["yes", "no", "yes"], ["yes", "yes", "no"]), resamples=10)
    columns = {name: np.array(found["outcomes"][name]) for name in found["outcomes"] if name not in ("id", "group")}
    for name in POPE.metrics:
        value = found["metrics"][name]["value"]
        assert POPE.measure(name, columns, np.ones(3)) == pytest.approx(np.nan if value is None else value, nan_ok=True)


def test_a_prediction_gives_its_question_back():
    question = Example("7", None, "p", "B", ("B",), ("x", "y"), "q", "text")
    row = json.loads(json.dumps(prediction_of(question, group="7", answer="B")))
    assert tuple(row) == FIELDS
    assert example_of(row) == question


def test_lettered_choices_survive_the_way_through_json():
    question = Example("7", None, "p", "B", ("B",), ("x", "y"), "q", "text")
    row = json.loads(json.dumps(prediction_of(question, group="7", answer="B. y")))
    assert score(SCIENCEQA, [row], train_examples=[question], resamples=10)["outcomes"]["correct"] == [1]


def test_no_predictions_missing_fields_and_repeated_ids_are_refused():
    rows = predictions(["no", "no"], ["no", "no"])
    with pytest.raises(DataError, match="none found"):
        score(POPE, [])
    with pytest.raises(DataError, match="record 2 lacks group"):
        score(POPE, [rows[0], {name: value for name, value in rows[1].items() if name != "group"}])
    with pytest.raises(DataError, match="1 ids come more than once, first random/0"):
        score(POPE, [rows[0], rows[0], rows[1]])


def test_predictions_are_read_by_line_and_a_broken_line_is_named(tmp_path):
    path = tmp_path / "predictions.jsonl"
    rows = predictions(["no\u2028more", "no"], ["no", "no"])
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n", encoding="utf-8")
    assert read_predictions(path) == rows
    path.write_text('{"id": 1}\n{"id"\n')
    with pytest.raises(DataError, match=r"predictions\.jsonl:2: line 1: broken JSON"):
        read_predictions(path)


def test_scoring_needs_no_torch():
    code = "import sys, steering.evaluate.scoring, steering.evaluate.benchmarks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class Sets:
    """POPE whose questions hang together by the tens of their numbers."""

    def __getattr__(self, name):
        return getattr(POPE, name)

    def cluster(self, example):
        return str(int(example.id.split("/")[1]) // 10)


def test_a_form_with_clusters_is_resampled_by_them_and_not_by_picture():
    rows = predictions(["yes"] * 10 + ["no"] * 10, ["yes"] * 20)
    found = score(Sets(), rows, resamples=200)
    assert set(found["outcomes"]["group"]) == {"pope/0", "pope/1"}
    assert (found["metrics"]["accuracy"]["low"], found["metrics"]["accuracy"]["high"]) == (0, 1)
    by_picture = score(POPE, rows, resamples=200)["metrics"]["accuracy"]
    assert by_picture["high"] - by_picture["low"] < 0.5


def test_what_cannot_be_scored_says_of_what_and_why_and_has_no_numbers():
    found = json.loads(json.dumps(unscored(POPE, predictions(["no"], ["no"]), "no judge")))
    assert (found["form"], found["version"], found["metric"], found["n"]) == ("pope", POPE.version, "accuracy", 1)
    assert found["unscored"] == "no judge"
    assert {"metrics", "outcomes", "unparsed"}.isdisjoint(found)


def test_one_question_without_references_leaves_the_whole_unscored():
    rows = predictions(["no", "no"], ["no", "no"])
    assert without_references(rows) == ""
    rows[1]["answers"] = []
    assert without_references(rows).startswith("1 of 2 questions have their references on the test server alone")
