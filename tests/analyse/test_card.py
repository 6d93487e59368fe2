"""A run's model card is read by the hub's library and tells its scores, the control's, its sources and its limits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from steering.analyse.card import card
from steering.evaluate.results import RunResults

BENCHMARKS = ("icons-pope", "icons-iconqa", "countries-scienceqa")
SOURCES = {
    "lm_wheel": {"kind": "hub", "repo": "someone/lm", "licence": "Apache-2.0", "attribution": "LM, Someone"},
    "icons": {"kind": "pypi", "package": "icons", "version": "1.0", "licence": "CC-BY-SA-4.0", "attribution": "Icons"},
}
CONTENT: dict[str, Any] = {
    "name": "table",
    "experiment": {"control": "none", "split": "test"},
    "benchmarks": {name: {"dataset": "icons", "title": f"Title of {name}"} for name in BENCHMARKS},
    "arms": {"none": {"method": "none"}, "mores_b": {"method": "mores", "rank": 1, "token_ratio": 0.25}},
    "model": {
        "language_model": {"name": "lm", "dtype": "float32", "source": "lm_wheel"},
        "vision_encoder": {"name": "eye", "tokens": 16, "source": None},
        "connector": "mlp2_norm",
    },
    "sources": SOURCES,
}


@pytest.fixture(scope="module")
def result(scores, manifests) -> Callable[..., RunResults]:
    """What a run of the invented experiment left, by its arm; its first seed."""

    def found(arm: str, *, scored: bool = True) -> RunResults:
        told = next(one for one in manifests if (one["arm"], one["seed"]) == (arm, 0))
        own = [one for one in scores if (one["arm"], one["seed"]) == (arm, 0)] if scored else []
        adapter = Path("checkpoints/runs") / told["run"] / "adapter"
        return RunResults(told["run"], told, [], own, [], {}, {}, {}, adapter)

    return found


@pytest.fixture(scope="module")
def text(result) -> str:
    return card(CONTENT, result("mores_b"), result("none"))


def test_the_hub_s_library_reads_what_it_is_of(text):
    data = ModelCard(text).data
    assert (data.library_name, data.pipeline_tag) == ("peft", "image-text-to-text")
    assert data.base_model == ["someone/lm", "eye"]  # a repository where there is one
    assert {"mores", "embedded", "representation-steering"} <= set(data.tags or [])


def test_scores_are_a_model_index_with_intervals(text, result):
    found = {entry.dataset_config: entry for entry in ModelCard(text).data.eval_results or []}
    assert found.keys() == set(BENCHMARKS)
    for score in result("mores_b").scores:
        entry = found[score["benchmark"]]
        told = score["metrics"][score["metric"]]
        assert (entry.metric_type, entry.dataset_split) == (score["metric"], "test")
        assert entry.metric_value == pytest.approx(told["value"], abs=1e-4)
        assert entry.metric_args["low"] <= entry.metric_value <= entry.metric_args["high"]


def test_the_control_s_score_stands_beside_the_run_s(text, result):
    score = result("none").scores[0]
    (row,) = [line for line in text.splitlines() if line.startswith(f"| {score['benchmark']} |")]
    assert row.endswith(f"{100 * score['metrics'][score['metric']]['high']:.1f}] |")
    assert "control (none)" in text


def test_the_control_has_no_control_and_no_adapter_to_load(result):
    own = card(CONTENT, result("none"), result("none"))
    assert "control (none)" not in own
    assert "PeftModel" not in own
    assert ModelCard(own).data.library_name is None


def test_a_control_that_did_not_come_through_is_said(text, result):
    assert "not run" not in text
    assert "not run" in card(CONTENT, result("mores_b"), None)


def test_every_source_keeps_its_licence_and_attribution(text):
    listed = ModelCard(text).data.get("data_sources")
    assert [(one["name"], one["licence"], one["attribution"]) for one in listed] == [
        ("icons", "CC-BY-SA-4.0", "Icons"),
        ("lm_wheel", "Apache-2.0", "LM, Someone"),
    ]
    assert "| icons | CC-BY-SA-4.0 | Icons | icons 1.0 |" in text


def test_what_was_trained_and_from_what_code_is_told(text):
    told = (
        "mores, 34,590 parameters trained",
        "| rank | 1 |",
        "| token_ratio | 0.25 |",
        "not for use",
        "0123456789abc",
    )
    assert [words for words in told if words not in text] == []


def test_a_run_without_scores_has_a_card_too(result):
    bare = card(CONTENT, result("mores_b", scored=False), None)
    assert "There is none." in bare
    assert ModelCard(bare).data.eval_results is None
