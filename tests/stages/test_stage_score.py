"""The score stage reads predictions and training questions, and needs no model: a score per benchmark and split."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stages.score import main
from steering import layout
from steering.evaluate.asking import Asked
from steering.evaluate.scoring import prediction_of
from steering.manifest import read_json

NAMES = ("tiny", "mix", "none", 0)
OUT = layout.outcome(*NAMES)


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
    run = dict(zip(("world", "data", "arm", "seed"), NAMES, strict=True))
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
