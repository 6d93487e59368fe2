"""The overhead stage times every arm of an experiment on one base model, whose weights come out as they went in."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from tiny_world import MODEL, PRETRAIN, put_conversations, put_parts, tuning

from stages import connector, overhead, tune
from steering import layout
from steering.data.collate import collate
from steering.errors import DataError
from steering.evaluate.one_base import OneBase
from steering.evaluate.trained import trained
from steering.manifest import read_json

ARMS: dict[str, dict[str, Any]] = {
    "none": {"method": "none"},
    "mores": {"method": "mores", "rank": 1},
    "lora": {"method": "lora", "rank": 2, "alpha": 4, "dropout": 0.0},
    "full": {"method": "full"},
}
OTHERS: dict[str, dict[str, Any]] = {
    "oft": {"method": "oft", "blocks": 4},
    "ia3": {"method": "ia3"},
    "adapter": {"method": "adapter", "bottleneck": 4},
    "attended": {"method": "mores", "rank": 1, "tokens": {"attended": 2}},
}
MRT = {"method": "mrt", "vision_rank": 2, "connector_rank": 2, "prefix_rank": 1, "suffix_rank": 1}
WANTED = {"benchmark": "pope", "questions": 2, "tokens": 3, "repeats": 3}


@pytest.fixture(autouse=True)
def world(pictures, put_manifest, make_language_model, tokenizer) -> None:
    put_parts(make_language_model(), tokenizer, put_manifest)
    put_conversations(put_manifest)
    connector.main({**MODEL, "pretrain": PRETRAIN})


def put_answers(arm: str, picture: bool = True) -> None:
    folder = layout.outcome("tiny", "mix", arm, 0) / "predictions"
    folder.mkdir(parents=True, exist_ok=True)
    told = {"benchmark": "pope", "split": "test", "prompt": "Red?"}
    shown = [f"pictures/test/{n % 3}.png" if picture else None for n in range(4)]
    lines = [{**told, "id": str(n), "picture": name, "answer": "y" * n} for n, name in enumerate(shown)]
    (folder / "predictions.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")


def ran(arms: dict[str, dict[str, Any]], **recipe: Any) -> dict[str, Any]:
    """The stage's slice of *arms*, which are trained; the control has answered."""
    for arm, settings in arms.items():
        tune.main(tuning(arm, settings, **recipe))
    put_answers("none")
    named = {"world": "tiny", "data": "mix", "seed": 0}
    runs = [{**named, "arm": arm, "settings": settings} for arm, settings in arms.items()]
    told = {"experiment": "table", "control": "none", "split": "test"}
    return {**MODEL, **told, "runs": runs, "wanted": WANTED}


def record(content: dict[str, Any]) -> dict[str, Any]:
    overhead.main(content)
    return read_json(layout.overhead("table"))


def test_every_arm_is_timed_in_every_round_and_merged_where_it_can_be():
    told = record(ran(ARMS))
    assert [row["name"] for row in told["contenders"]] == ["mores", "lora", "lora, merged", "full"]
    for row in (told["bare"], told["again"], *told["contenders"]):
        assert {kind: len(rounds) for kind, rounds in row["raw"].items()} == {"prefill": 3, "decode": 3, "answer": 3}
        assert all(took > 0 for rounds in row["raw"].values() for took in rounds)
    assert (told["experiment"], told["benchmark"], told["questions"]) == ("table", "pope", 2)
    assert told["visual_tokens"] == 16
    assert told["answer_tokens"] == (1 + 3) / 2  # the first and the third of four answers, each with its closing
    assert (told["settings"]["dtype"], told["settings"]["live"]) == ("float32", False)
    assert told["machine"].keys() >= {"device", "threads", "load", "load_after"}


def test_all_read_pixels_where_one_arm_edits_the_encoder():
    told = record(ran({"none": ARMS["none"], "mrt": MRT}))
    assert told["settings"]["live"] is True
    assert [row["name"] for row in told["contenders"]] == ["mrt"]


def test_a_benchmark_without_pictures_is_refused():
    content = ran({"none": ARMS["none"]})
    put_answers("none", picture=False)
    with pytest.raises(DataError, match="no pictured question of pope, test; allowed"):
        overhead.main(content)


@torch.no_grad()
def logits(model, samples) -> torch.Tensor:
    batch = collate([samples.sample("pictures/test/0.png", [("Red?", None)])])
    return model.logits(model.hidden(batch, use_cache=False).last_hidden_state)


def weights(model) -> list[torch.Tensor]:
    """What the base model's own modules hold."""
    return [one.detach() for name, one in model.language_model.named_parameters() if "layernorm" in name]


@pytest.mark.parametrize("arms", [ARMS, {"none": ARMS["none"], **OTHERS}, {"none": ARMS["none"], "mrt": MRT}], ids=str)
def test_models_on_one_base_are_those_that_stand_alone_and_share_its_weights(arms):
    content = ran(arms)
    base = OneBase(content, content["runs"])
    bare = base.bare(content["runs"][0])
    before = logits(bare, base.samples(bare))
    openings = {run["arm"]: base.opening(run) for run in content["runs"]}
    for run in content["runs"]:
        alone, _ = trained({**content, **run}, layout.run("tiny", "mix", run["arm"], 0))
        if base.live and alone.vision is None:  # alone it reads features computed once, which are kept in float16
            alone.vision = bare.vision
        model = openings[run["arm"]]()
        expected = logits(alone, base.samples(alone))
        torch.testing.assert_close(logits(model, base.samples(model)), expected, rtol=1e-4, atol=1e-4)
        shared = {one.data_ptr() for one in weights(bare)} & {one.data_ptr() for one in weights(model)}
        assert bool(shared) != (run["arm"] == "full")
        if run["arm"] in ("lora", "oft", "ia3"):
            merged = base.opening(run, merged=True)()
            torch.testing.assert_close(logits(merged, base.samples(merged)), expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(logits(bare, base.samples(bare)), before)


def test_what_has_weights_of_its_own_is_made_anew_and_the_others_are_kept():
    content = ran(ARMS)
    base = OneBase(content, content["runs"])
    for run in content["runs"]:
        opening = base.opening(run)
        assert (opening() is opening()) == (run["arm"] != "full")
