"""The attention stage measures a run on its own answers, live or cached, and once for the same answers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_world import MODEL, PRETRAIN, put_answers, put_conversations, put_parts, tuning

from stages import attention, connector, tune
from steering import layout
from steering.manifest import read_json

MRT = {"method": "mrt", "vision_rank": 2, "connector_rank": 2, "prefix_rank": 1, "suffix_rank": 1}
ATTENDED = {"method": "mores", "rank": 1, "tokens": {"attended": 2}}


@pytest.fixture(autouse=True)
def world(pictures, put_manifest, make_language_model, tokenizer) -> None:
    put_parts(make_language_model(), tokenizer, put_manifest)
    put_conversations(put_manifest)
    connector.main({**MODEL, "pretrain": PRETRAIN})


@pytest.fixture
def measured(put_manifest, benchmark):
    """Measures a trained arm on three answers, all alike; gives what the stage wrote."""

    def measuring(arm: str, settings: dict[str, Any], answer: str = "yes") -> dict[str, Any]:
        put_answers(arm, put_manifest, answer)
        asked = {"benchmark": "pope", "questions": 3, "form": benchmark}
        attention.main({**MODEL, "data": "mix", "arm": arm, "seed": 0, "settings": settings, **asked})
        return read_json(out(arm) / "attention.json")

    return measuring


def out(arm: str) -> Path:
    return layout.outcome("tiny", "mix", arm, 0) / "attention"


@pytest.mark.parametrize(
    ("arm", "settings", "recipe"),
    [
        ("none", {"method": "none"}, {}),
        ("attended", ATTENDED, {}),
        ("mrt", MRT, {}),
        ("deep", {"method": "none"}, {"encoder_layers": "all"}),
    ],
)
def test_each_layer_has_a_share_and_a_ratio(arm: str, settings: dict[str, Any], recipe: dict, measured):
    tune.main(tuning(arm, settings, **recipe))
    told = measured(arm, settings)
    assert (told["n"], told["layers"], told["arm"]) == (3, 2, arm)
    assert all(0 < layer["value"] < 1 for layer in told["visual_share"])


def test_each_sample_has_its_mean_over_layers(measured):
    tune.main(tuning("none", {"method": "none"}))
    told = measured("none", {"method": "none"})
    assert told["samples"]["id"] == told["samples"]["group"] == ["0", "1", "2"]
    over_layers = sum(layer["value"] for layer in told["visual_share"]) / 2
    assert told["visual_attention"]["value"] == pytest.approx(over_layers)
    assert sum(told["samples"]["visual_attention"]) / 3 == pytest.approx(over_layers)


def test_a_run_that_answers_nothing_is_measured_where_it_closes(measured):
    tune.main(tuning("none", {"method": "none"}))
    assert measured("none", {"method": "none"}, answer="")["n"] == 3


def test_the_same_answers_are_measured_once_and_others_anew(measured, monkeypatch):
    tune.main(tuning("none", {"method": "none"}))
    first = measured("none", {"method": "none"})
    shutil.rmtree(out("none"))
    with monkeypatch.context() as patch:
        patch.setattr(attention, "_measured", lambda *asked: pytest.fail("measured again"))
        assert measured("none", {"method": "none"}) == first
        assert (out("none") / "manifest.json").exists()
    assert measured("none", {"method": "none"}, answer="no") != first


@pytest.mark.parametrize(("arm", "settings"), [("none", {"method": "none"}), ("mrt", MRT)])
def test_the_inputs_are_those_that_the_graph_knows(arm: str, settings: dict[str, Any], measured):
    tune.main(tuning(arm, settings))
    measured(arm, settings)
    told = set(read_json(out(arm) / "manifest.json")["inputs"])
    pictures = {"vision"} if arm == "mrt" else {"features_pictures"}
    assert told == {"run", "base", "answers", "pictures"} | pictures
