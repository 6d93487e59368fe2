"""The attention stage measures a run on its own answers, live or cached."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tiny_world import MODEL, PRETRAIN, asking, put_conversations, put_parts, tuning

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


def put_answers(arm: str, answer: str = "yes") -> None:
    folder = layout.outcome("tiny", "mix", arm, 0) / "predictions"
    folder.mkdir(parents=True)
    lines = [
        {"benchmark": "pope", "id": str(n), "picture": f"pictures/test/{n}.png", "prompt": "Red?", "answer": answer}
        for n in range(3)
    ]
    (folder / "predictions.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")


@pytest.mark.parametrize(
    ("arm", "settings", "recipe"),
    [
        ("none", {"method": "none"}, {}),
        ("attended", ATTENDED, {}),
        ("mrt", MRT, {}),
        ("deep", {"method": "none"}, {"encoder_layers": "all"}),
    ],
)
def test_each_layer_has_a_share_and_a_ratio(arm: str, settings: dict[str, Any], recipe: dict, benchmark):
    tune.main(tuning(arm, settings, **recipe))
    put_answers(arm)
    attention.main(asking(arm, settings, benchmark) | {"benchmark": "pope", "questions": 3})
    told = read_json(layout.outcome("tiny", "mix", arm, 0) / "attention.json")
    assert (told["n"], told["layers"], told["arm"]) == (3, 2, arm)
    assert all(0 < layer["value"] < 1 for layer in told["visual_share"])


def test_a_run_that_answers_nothing_is_measured_where_it_closes(benchmark):
    tune.main(tuning("none", {"method": "none"}))
    put_answers("none", answer="")
    attention.main(asking("none", {"method": "none"}, benchmark) | {"benchmark": "pope", "questions": 3})
    assert read_json(layout.outcome("tiny", "mix", "none", 0) / "attention.json")["n"] == 3
