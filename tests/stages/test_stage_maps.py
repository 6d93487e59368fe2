"""The maps stage keeps whole attention maps of a run's answers, with who stands where, and makes them once."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from tiny_world import MODEL, PRETRAIN, RECIPE, put_answers, put_conversations, put_parts, tuning

from stages import connector, maps, tune
from steering import layout
from steering.evaluate.answered import chosen
from steering.manifest import read_json

OUT = layout.analysis("tiny", "mix", "none", 0, "maps")
EDIT = {"method": "mores", "rank": 1, "token_ratio": 0.5}


@pytest.fixture
def asked(pictures, put_manifest, make_language_model, tokenizer, benchmark) -> dict[str, Any]:
    """The slice of an analysis of a run that trained and answered."""
    put_parts(make_language_model(), tokenizer, put_manifest)
    put_conversations(put_manifest)
    connector.main({**MODEL, "pretrain": PRETRAIN})
    tune.main(tuning("none", EDIT))
    put_answers("none", put_manifest)
    run = {"data": "mix", "arm": "none", "seed": 0, "settings": EDIT, "benchmarks": {"pope": benchmark}}
    wanted = {"benchmark": "pope", "questions": 2, "layers": [2, 1]}
    return {**MODEL, **run, "recipe": RECIPE, "datasets": ["pictures"], "analysis": "maps", "wanted": wanted}


def test_every_question_and_layer_has_a_map_whose_rows_are_whole(asked):
    maps.main(asked)
    told, held = read_json(OUT / "maps.json"), load_file(OUT / "maps.safetensors")
    assert (told["layers"], told["benchmark"], len(told["questions"])) == ([1, 2], "pope", 2)
    assert held.keys() == {f"{n}.layer{layer}{part}" for n in (0, 1) for layer in (1, 2) for part in ("", ".visual")}
    for number, question in enumerate(told["questions"]):
        whole, visual = held[f"{number}.layer1"].astype(float), held[f"{number}.layer1.visual"].astype(float)
        assert whole.shape == (len(question["tokens"]),) * 2
        np.testing.assert_allclose(whole.sum(1), 1, atol=1e-3)
        assert np.abs(np.triu(whole, 1)).max() == 0
        (first, last) = next((first, last) for role, first, last in question["spans"] if role == "visual")
        assert (last - first, question["grid"]) == (16, [4, 4])
        assert (visual == whole[question["queries"], first:last]).all()


def test_positions_are_told_by_role_and_text(asked):
    maps.main(asked)
    question = read_json(OUT / "maps.json")["questions"][0]
    said = {}
    for role, first, last in question["spans"]:
        said.setdefault(role, []).append("".join(question["tokens"][first:last]))
    assert said["prompt"] == ["Red?"] and said["answer"] == ["yes<|im_end|>"] and said["visual"] == [""]
    assert said["template"] == ["<|im_start|>user\n", "\n", "<|im_end|>\n<|im_start|>assistant\n"]
    assert [place + 1 for place in question["queries"]] == list(range(*question["spans"][-1][1:]))


def test_finished_maps_come_back_without_the_model(asked, monkeypatch):
    maps.main(asked)
    first = (OUT / "maps.safetensors").read_bytes()
    shutil.rmtree(OUT)
    monkeypatch.setattr(maps, "_measure", lambda *told: pytest.fail("measured again"))
    maps.main(asked)
    assert (OUT / "maps.safetensors").read_bytes() == first
    assert set(read_json(OUT / "manifest.json")["inputs"]) == {
        "run",
        "base",
        "answers",
        "pictures",
        "features_pictures",
    }


def test_questions_are_of_different_pictures_and_the_same_whatever_was_answered():
    records = [{"id": str(n), "picture": f"p/{n // 4}", "answer": str(n)} for n in range(12)]
    first = chosen(records, 3)
    assert len({record["picture"] for record in first}) == 3
    again = chosen([{**record, "answer": "no"} for record in reversed(records)], 3)
    assert [record["id"] for record in again] == [record["id"] for record in first]
    assert len(chosen(records, 5)) == 5 and len(chosen(records, 50)) == 12
