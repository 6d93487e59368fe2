"""The predict stage answers with the run's own weights, those of its vision encoder included."""

from __future__ import annotations

import json
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from tiny_world import MODEL, PRETRAIN, asking, put_conversations, put_parts, tuning

from stages import connector, predict, tune
from steering import layout
from steering.errors import DataError
from steering.evaluate import trained
from steering.manifest import read_json

MRT = {"method": "mrt", "vision_rank": 2, "connector_rank": 2, "prefix_rank": 1, "suffix_rank": 1}
ATTENDED = {"method": "mores", "rank": 1, "tokens": {"attended": 2}}
ARMS = {
    "none": ({"method": "none"}, {}),
    "lora": ({"method": "lora", "rank": 2}, {}),
    "attended": (ATTENDED, {}),
    "mrt": (MRT, {}),
    "deep": ({"method": "none"}, {"encoder_layers": 1}),
}


@pytest.fixture(autouse=True)
def world(pictures, put_manifest, make_language_model, tokenizer) -> None:
    put_parts(make_language_model(), tokenizer, put_manifest)
    put_conversations(put_manifest)
    connector.main({**MODEL, "pretrain": PRETRAIN})


@pytest.fixture
def answered(benchmark):
    def answer(arm: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        settings, recipe = ARMS[arm]
        tune.main(tuning(arm, settings, **recipe))
        predict.main(asking(arm, settings, benchmark))
        out = layout.outcome("tiny", "mix", arm, 0) / "predictions"
        lines = (out / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines], read_json(out / "manifest.json")

    return answer


@pytest.mark.parametrize("arm", ARMS)
def test_every_question_is_answered(arm, answered):
    lines, told = answered(arm)
    assert len(lines) == 6
    assert ("vision" in told["inputs"]) == (arm in ("mrt", "deep"))


@pytest.mark.parametrize("arm", ["mrt", "deep"])
def test_live_runs_read_pixels_and_others_features(arm, benchmark):
    settings, recipe = ARMS[arm]
    tune.main(tuning(arm, settings, **recipe))
    model, samples = trained.trained(asking(arm, settings, benchmark), layout.run("tiny", "mix", arm, 0))
    sample = samples.sample("pictures/test/0.png", [("Colour?", None)])
    assert (sample.features, sample.pixels.shape, sample.visual_tokens) == (None, (3, 32, 32), 16)
    assert not any(parameter.requires_grad for parameter in model.vision.parameters())


def test_a_damaged_trained_encoder_is_found(benchmark):
    settings, recipe = ARMS["deep"]
    tune.main(tuning("deep", settings, **recipe))
    path = layout.run("tiny", "mix", "deep", 0) / "encoder.safetensors"
    save_file({name: tensor + 1 for name, tensor in load_file(path).items()}, path)
    with pytest.raises(DataError, match=r"encoder\.safetensors: damaged"):
        predict.main(asking("deep", settings, benchmark))
    path.unlink()
    with pytest.raises(DataError, match=r"encoder\.safetensors: damaged"):
        predict.main(asking("deep", settings, benchmark))
