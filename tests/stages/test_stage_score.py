"""The score stage reads predictions and training questions, and needs no model: a score per benchmark and split."""

from __future__ import annotations

import json
from typing import Any

import pytest
from answered import OUT, RUN, mmvet_pairs, put_answers, run_slice
from answered import benchmark as benchmark_of

from stages.score import main
from steering.evaluate.asking import Asked
from steering.evaluate.benchmarks import Example
from steering.evaluate.scoring import prediction_of
from steering.manifest import read_json, write_json


@pytest.fixture
def content(pictures, benchmark) -> dict[str, Any]:
    """A run that says yes to the test questions, and the truth to those of the training split."""
    asked = Asked("tiny")
    (OUT / "predictions").mkdir(parents=True)
    with (OUT / "predictions" / "predictions.jsonl").open("w", encoding="utf-8") as file:
        for split in ("test", "train"):
            for example in asked.examples(benchmark, split):
                said = "Yes" if split == "test" else example.target
                record = prediction_of(example, group=asked.group(benchmark, example), answer=said)
                file.write(json.dumps({"benchmark": "pope", "split": split, "picture": "p", **record}) + "\n")
    run = dict(zip(("world", "data", "arm", "seed"), RUN, strict=True))
    return {**run, "settings": {"method": "none"}, "benchmarks": {"pope": benchmark}}


def test_each_benchmark_and_split_has_its_score(content):
    main(content)
    scores = read_json(OUT / "scores.json")
    assert [(score["benchmark"], score["split"], score["n"]) for score in scores] == [
        ("pope", "test", 12),
        ("pope", "train", 12),
    ]
    assert [score["metrics"]["accuracy"]["value"] for score in scores] == [0.5, 1.0]
    assert scores[0]["metrics"]["yes_ratio"]["value"] == 1.0


def test_a_score_names_its_run(content):
    main(content)
    score = read_json(OUT / "scores.json")[0]
    assert (score["run"], score["method"], score["seed"]) == ("tiny/mix/none/seed0", "none", 0)


def test_guessers_learn_from_the_training_split(content):
    main(content)
    score = read_json(OUT / "scores.json")[0]
    assert set(score["baselines"]) == {"blind", "majority"}
    assert score["baselines"]["blind"]["accuracy"]["value"] == 1.0  # the numbers in the questions give them away


def test_scoring_again_writes_the_same_bytes(content):
    main(content)
    first = (OUT / "scores.json").read_bytes()
    main(content)
    assert (OUT / "scores.json").read_bytes() == first


def judged(*grades, why=""):
    """verdicts.json of the answers to `mmvet_pairs`."""
    found = [
        {"value": grade, "reply": "", "why": "" if grade is not None else "HTTP 500: 'down'", "served_by": "gpt-4"}
        for grade in grades
    ]
    verdicts = {f"v1_{n}": one | {"date": "2026-01-02"} for n, one in enumerate(found)}
    entry = {"why": why} if why else {"prompt": "abc", "verdicts": verdicts}
    write_json(OUT / "verdicts.json", [{"benchmark": "graded", "split": "test", **entry}])


@pytest.fixture
def graded(here) -> dict[str, Any]:
    put_answers({("graded", "test"): mmvet_pairs()})
    return run_slice(benchmarks={"graded": benchmark_of("mmvet")})


def scored(content) -> dict[str, Any]:
    main(content)
    (found,) = read_json(OUT / "scores.json")
    return found


def test_a_benchmark_without_train_questions_has_a_score_without_guessers(content):
    content["benchmarks"]["pope"] = content["benchmarks"]["pope"] | {"splits": {"test": "test"}}
    main(content)
    first = read_json(OUT / "scores.json")[0]
    assert first["baselines"] == {}
    assert first["metrics"]["accuracy"]["value"] == 0.5


def test_without_a_judge_the_entry_says_so_in_place_of_a_score(graded):
    found = scored(graded)
    assert found["unscored"].startswith("mmvet is graded by a judge and none is set for it; params.yaml takes one")
    assert {"metrics", "outcomes", "baselines"}.isdisjoint(found)
    assert (found["form"], found["version"], found["n"], found["run"]) == ("mmvet", 2, 3, "tiny/mix/none/seed0")


def test_a_judges_verdicts_make_the_score(graded):
    judged(1.0, 0.5, 0.0)
    found = scored(graded | {"judged": ["graded"]})
    assert found["metrics"]["score"]["value"] == 0.5
    assert found["protocol"]["judge"] == "gpt-4"
    assert found["protocol"]["judge prompt"] == "sha256 abc"
    assert found["baselines"] == {}


def test_one_answer_without_a_verdict_leaves_no_score_and_says_how_to_ask_anew(graded):
    judged(1.0, 0.5, None)
    found = scored(graded | {"judged": ["graded"]})
    assert found["unscored"].startswith("1 of 3 answers have no verdict, first v1_2: HTTP 500: 'down'; to ask anew")
    assert "metrics" not in found


def test_a_judge_that_was_not_asked_is_no_score(graded):
    judged(why="judge.key_variable: KEY is not set")
    found = scored(graded | {"judged": ["graded"]})
    assert found["unscored"].startswith("the judge was not asked: judge.key_variable: KEY is not set; to ask anew")


def test_answers_whose_references_the_server_has_are_not_scored(here):
    put_answers({("vqa", "test"): [(Example(str(n), "a.jpg", "p", "", (), question="q?"), "two") for n in range(3)]})
    found = scored(run_slice(benchmarks={"vqa": benchmark_of("vqav2", splits={"test": "test-dev"})}))
    assert found["unscored"] == (
        "3 of 3 questions have their references on the test server alone; the rule submit writes the file to send there"
    )


def test_hallusionbench_needs_no_judge_but_goes_by_one_that_is_set(here):
    one = Example("0/VD/chart/0/0/0", "a.png", "p", "yes", ("yes", "It is."), question="q?", category="VD/1")
    put_answers({("graded", "test"): [(one, "Yes")]})
    content = run_slice(benchmarks={"graded": benchmark_of("hallusion", splits={"test": "test"})})
    assert scored(content)["metrics"]["aAcc"]["value"] == 1
    verdict = {"value": 0.0, "reply": "incorrect", "why": "", "served_by": "gpt-4", "date": "2026-01-02"}
    entry = {"benchmark": "graded", "split": "test", "prompt": "abc", "verdicts": {one.id: verdict}}
    write_json(OUT / "verdicts.json", [entry])
    found = scored(content | {"judged": ["graded"]})
    assert found["metrics"]["aAcc"]["value"] == 0
    assert found["protocol"]["judge"] == "gpt-4"
