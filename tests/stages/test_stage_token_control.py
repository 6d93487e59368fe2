"""The token control stage edits a run's tokens, goes on where it was cut short, and leaves the run as it was."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from typing import Any

import pytest
from tiny_world import MODEL, PRETRAIN, RECIPE, asking, put_conversations, put_parts, tuning

from stages import connector, predict, token_control, tune
from steering import layout
from steering.data.shards import ImageArchive
from steering.evaluate import journal
from steering.interrupts import EXIT_CODE, Interrupted
from steering.job import contents
from steering.manifest import read_json, write_json

NONE = {"method": "none"}
ATTENDED = {"method": "mores", "rank": 1, "tokens": {"attended": 2}}
MRT = {"method": "mrt", "vision_rank": 2, "connector_rank": 2, "prefix_rank": 1, "suffix_rank": 1}
WANTED = {
    "benchmark": "pope",
    "questions": 2,
    "tokens": [1, 2],
    "rank": 1,
    "layers": "all",
    "steps": 3,
    "learning_rate": 0.05,
    "confidence": 0.9,
    "bystanders": 2,
}


@pytest.fixture(autouse=True)
def world(pictures, put_manifest, make_language_model, tokenizer) -> None:
    put_parts(make_language_model(), tokenizer, put_manifest)
    put_conversations(put_manifest)
    connector.main({**MODEL, "pretrain": PRETRAIN})


def put_scenes(put_manifest: Callable[..., None]) -> None:
    """One thing, called 0 and 1 as the questions are, in the top left quarter of every picture."""
    folder = layout.dataset("tiny", "pictures")
    scene = {"cells": ["0", "1", None, None], "boxes": [[0, 0, 64, 64], [0, 0, 64, 64], None, None]}
    write_json(folder / "scenes.json", {f"test/{number}.png": scene for number in range(3)})
    put_manifest(folder)


@pytest.fixture
def slice_of(benchmark) -> Callable[..., dict[str, Any]]:
    def made(arm: str, settings: dict[str, Any], **wanted: Any) -> dict[str, Any]:
        tune.main(tuning(arm, settings))
        asked = asking(arm, settings, benchmark)
        predict.main(asked)
        plain = {name: {key: told[key] for key in benchmark} for name, told in asked["benchmarks"].items()}
        facts = {"recipe": RECIPE, "datasets": ["pictures"], "analysis": "token_control"}
        return {**asked, "benchmarks": plain, **facts, "wanted": WANTED | wanted}

    return made


def lines_of(arm: str) -> list[dict[str, Any]]:
    path = layout.analysis("tiny", "mix", arm, 0, "token_control") / "tries.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(("arm", "settings"), [("none", NONE), ("attended", ATTENDED), ("mrt", MRT)])
def test_every_kind_and_number_is_tried_and_no_step_changes_nothing(arm, settings, slice_of):
    content = slice_of(arm, settings)
    before = contents(layout.run("tiny", "mix", arm, 0))
    token_control.main(content)
    lines = lines_of(arm)
    tried = [("none", 1), ("random", 1), ("random", 2), ("text", 1), ("text", 2)]
    assert [(line["kind"], line["tokens"]) for line in lines] == tried * 2
    for line in lines:
        assert line["edited"] == line["tokens"] and line["aim"] != line["before"]
        if line["kind"] == "none":
            assert (line["success"], line["gain"], line["norm"], line["steps"]) == (0, 0, 0, 0)
            assert line["same"]["changed"] == line["others"]["changed"] == 0 and line["after"] == line["before"]
        else:
            assert line["norm"] > 0 and line["steps"] > 0
    told = read_json(layout.analysis("tiny", "mix", arm, 0, "token_control") / "token_control.json")
    assert [(row["kind"], row["tokens"]) for row in told["rows"]] == tried
    assert contents(layout.run("tiny", "mix", arm, 0)) == before


def test_where_the_data_tell_boxes_the_object_is_edited_and_what_is_random_stands_elsewhere(slice_of, put_manifest):
    content = slice_of("none", NONE, questions=1)
    put_scenes(put_manifest)
    token_control.main(content)
    patches = {(line["kind"], line["tokens"]): line["patches"] for line in lines_of("none")}
    assert patches["object", 2] == [0, 1] and patches["object", 1] == [0]  # four patches a side: the quarter is 0 1 4 5
    assert not set(patches["random", 2]) & {0, 1, 4, 5}


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("end", ["killed", "asked to end"])
def test_an_attempt_that_was_cut_short_goes_on_with_the_same_bytes(end, slice_of, monkeypatch):
    content = slice_of("none", NONE)
    out = layout.analysis("tiny", "mix", "none", 0, "token_control")
    token_control.main(content)
    whole = (out / "tries.jsonl").read_bytes()
    shutil.rmtree(out)
    shutil.rmtree(layout.RUNS)
    append = journal.append

    def cut(path, records):
        append(path, records)
        if end == "killed":
            with path.open("ab") as file:
                file.write(b'{"torn')
            raise Killed
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(journal, "append", cut)
    with pytest.raises(Killed if end == "killed" else Interrupted) as stopped:
        token_control.main(content)
    assert end == "killed" or stopped.value.exit_code == EXIT_CODE
    monkeypatch.setattr(journal, "append", append)
    token_control.main(content)
    assert (out / "tries.jsonl").read_bytes() == whole
    assert read_json(out / "manifest.json")["resumed_from"] == 1


def test_a_finished_analysis_comes_back_without_a_model(slice_of, monkeypatch):
    content = slice_of("none", NONE)
    token_control.main(content)
    out = layout.analysis("tiny", "mix", "none", 0, "token_control")
    whole = (out / "tries.jsonl").read_bytes()
    shutil.rmtree(out)
    monkeypatch.setattr(token_control, "_control", None)
    token_control.main(content)
    assert (out / "tries.jsonl").read_bytes() == whole


def test_pictures_are_known_by_their_identity_not_by_their_name(put_manifest):
    put_scenes(put_manifest)
    folder = layout.dataset("tiny", "pictures")
    there = token_control._things(folder)({"group": ImageArchive(folder).identity("test/1.png")})
    assert [thing.box for thing in there] == [(0, 0, 0.5, 0.5)] * 2
