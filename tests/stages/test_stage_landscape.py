"""The landscape stage moves what a run trained, over the same conversations in every arm, and goes on."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from tiny_world import MODEL, PRETRAIN, put_conversations, put_parts, tuning

from stages import connector, landscape, tune
from steering import layout
from steering.errors import SteeringError
from steering.interrupts import Interrupted
from steering.manifest import read_json

WANTED = {"conversations": 3, "points": 3, "span": 0.5, "radius": 0.5, "directions": 2}
UNITS = 1 + 2 + 3
MRT = {"method": "mrt", "vision_rank": 2, "connector_rank": 2, "prefix_rank": 1, "suffix_rank": 1}
ARMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "none": ({"method": "none"}, {}),
    "mores": ({"method": "mores", "rank": 1}, {}),
    "lora": ({"method": "lora", "rank": 2}, {}),
    "oft": ({"method": "oft", "blocks": 4}, {}),
    "ia3": ({"method": "ia3"}, {}),
    "full": ({"method": "full"}, {}),
    "mrt": (MRT, {}),
    "deep": ({"method": "none"}, {"encoder_layers": 1}),
}


@pytest.fixture(autouse=True)
def world(pictures, put_manifest, make_language_model, tokenizer) -> None:
    put_parts(make_language_model(), tokenizer, put_manifest)
    put_conversations(put_manifest)
    connector.main({**MODEL, "pretrain": PRETRAIN})


def asked(arm: str, **wanted: Any) -> dict[str, Any]:
    """The slice of the landscape of an arm that is trained now."""
    settings, recipe = ARMS[arm]
    content = tuning(arm, settings, **recipe)
    tune.main(content)
    return {**content, "analysis": "landscape", "wanted": WANTED | wanted}


def out(arm: str) -> Path:
    return layout.analysis("tiny", "mix", arm, 0, "landscape")


def told(arm: str) -> dict[str, Any]:
    return read_json(out(arm) / "landscape.json")


@pytest.mark.parametrize("arm", ARMS)
def test_what_the_run_trained_moves_and_nothing_else(arm):
    landscape.main(asked(arm))
    record, run = told(arm), read_json(layout.run("tiny", "mix", arm, 0) / "manifest.json")
    moved = {part: own["parameters"] for part, own in record["trained"].items()}
    counted = {"method": "trainable_llm", "connector": "trainable_connector", "encoder": "trainable_encoder"}
    assert moved == {part: run[name] for part, name in counted.items() if run.get(name)}
    assert record["loss"][1][1] == sum(record["sums"]["trained"]) / sum(record["conversations"]["tokens"])
    assert len({loss for row in record["loss"] for loss in row}) == 9
    assert ("vision" in read_json(out(arm) / "manifest.json")["inputs"]) == (arm in ("mrt", "deep"))


def test_two_arms_get_the_same_conversations():
    for arm in ("none", "mores"):
        landscape.main(asked(arm))
    assert told("none")["conversations"] == told("mores")["conversations"]
    assert told("none")["conversations"]["n"] == 3


def test_all_conversations_are_taken_where_there_are_no_more():
    landscape.main(asked("none", conversations=50))
    assert told("none")["conversations"]["n"] == 4


def test_a_run_that_trains_nothing_has_no_landscape():
    ARMS["frozen"] = ({"method": "none"}, {"freeze_connector": True})
    with pytest.raises(SteeringError, match="seed0: trains nothing, so there is nothing to move"):
        landscape.main(asked("frozen"))


class Killed(BaseException):
    """The process is gone."""


def torn(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b'{"unit": "row 1", "sums": [[0.1')
    raise Killed


def test_a_killed_landscape_goes_on_to_the_same_bytes(before):
    content = asked("mores")
    landscape.main(content)
    whole = {path.name: path.read_bytes() for path in out("mores").iterdir() if path.name != "manifest.json"}
    assert set(whole) == {"landscape.json", "losses.jsonl"}
    for folder in (out("mores"), layout.RUNS):
        shutil.rmtree(folder)
    before(UNITS - 2, torn)
    with pytest.raises(Killed):
        landscape.main(content)
    assert not out("mores").exists()
    before(0, lambda path: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted, match=f"SIGTERM: stopped after part {UNITS - 1} of {UNITS}; run again"):
        landscape.main(content)
    landscape.main(content)
    assert {name: (out("mores") / name).read_bytes() for name in whole} == whole
    assert read_json(out("mores") / "manifest.json")["resumed_from"] == UNITS - 1


def test_a_finished_landscape_comes_back_without_a_model(monkeypatch):
    content = asked("none")
    landscape.main(content)
    first = (out("none") / "landscape.json").read_bytes()
    shutil.rmtree(out("none"))
    monkeypatch.setattr(landscape, "_measure", None)
    landscape.main(content)
    assert (out("none") / "landscape.json").read_bytes() == first
