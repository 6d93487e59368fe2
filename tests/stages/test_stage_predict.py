"""The predict stage answers with the run's own weights, goes on where it was cut short, and weighs what is weighed."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from tiny_world import MODEL, PRETRAIN, asking, put_conversations, put_parts, tuning

from stages import attention, check, connector, features, predict, tune
from steering import layout
from steering.data.shards import ImageArchive, write_images
from steering.errors import CheckpointError, DataError
from steering.evaluate import predict as predicting
from steering.evaluate import trained
from steering.evaluate.benchmarks import FORMS
from steering.evaluate.benchmarks.hellaswag import HELLASWAG
from steering.interrupts import EXIT_CODE, Interrupted
from steering.manifest import read_json, write_json

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


@pytest.mark.parametrize("stage", [predict.main, attention.main], ids=["predict", "attention"])
def test_a_run_is_asked_in_the_template_that_it_was_trained_in_or_not_at_all(stage, benchmark):
    tune.main(tuning("none", {"method": "none"}))
    predict.main(asking("none", {"method": "none"}, benchmark))
    put = {"benchmark": "pope", "questions": 3, "form": benchmark}
    asked = asking("none", {"method": "none"}, benchmark) | put | {"template": "vicuna"}
    with pytest.raises(CheckpointError, match=r"seed0/manifest\.json: template: asked in vicuna, trained in chatml"):
        stage(asked)
    path = layout.run("tiny", "mix", "none", 0) / "manifest.json"
    told = read_json(path)
    write_json(path, told | {"slice": {}})
    with pytest.raises(CheckpointError, match="trained in none that it tells of"):
        stage(asked)


class Killed(BaseException):
    """The process is gone."""


OUT = layout.outcome("tiny", "mix", "none", 0) / "predictions"
BATCHES = 3


@pytest.fixture
def content(benchmark, monkeypatch) -> dict[str, Any]:
    """The slice of a prediction of six questions in three batches."""
    monkeypatch.setattr(predicting, "planned", partial(predicting.planned, batch=1))
    tune.main(tuning("none", {"method": "none"}))
    return asking("none", {"method": "none"}, benchmark)


@pytest.fixture
def whole(content) -> bytes:
    """The lines of an attempt that nothing cut short; nothing of it is left but these."""
    predict.main(content)
    lines = (OUT / "predictions.jsonl").read_bytes()
    for folder in (OUT, layout.RUNS):
        shutil.rmtree(folder)
    return lines


def torn(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b'{"benchmark": "pope", "spl')
    raise Killed


def gone(path: Path) -> None:
    raise Killed


@pytest.mark.parametrize("end", [gone, torn], ids=["boundary", "mid-line"])
@pytest.mark.parametrize("number", range(BATCHES))
def test_a_killed_prediction_goes_on_to_the_same_bytes(number, end, content, whole, before):
    before(number, end)
    with pytest.raises(Killed):
        predict.main(content)
    assert not OUT.exists()
    predict.main(content)
    assert (OUT / "predictions.jsonl").read_bytes() == whole
    assert read_json(OUT / "manifest.json")["resumed_from"] == number


@pytest.mark.parametrize("number", range(BATCHES - 1))
def test_a_signal_ends_a_prediction_behind_the_batch_under_way(number, content, whole, before):
    before(number, lambda path: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted, match=f"SIGTERM: stopped after batch {number + 1} of {BATCHES}; run again") as end:
        predict.main(content)
    assert end.value.exit_code == EXIT_CODE == 75
    predict.main(content)
    assert (OUT / "predictions.jsonl").read_bytes() == whole
    assert read_json(OUT / "manifest.json")["resumed_from"] == number + 1


@pytest.mark.parametrize("parts", [2, 3, 5])
def test_parts_joined_are_the_whole(parts, content, whole):
    in_parts = content | {"parts": parts}
    for part in range(parts, 0, -1):
        predict.main(in_parts | {"part": part})
    predict.main(in_parts)
    assert (OUT / "predictions.jsonl").read_bytes() == whole
    told = [read_json(layout.prediction_part("tiny", "mix", "none", 0, n + 1) / "manifest.json") for n in range(parts)]
    joined = read_json(OUT / "manifest.json")
    assert joined["runtime_seconds"] == pytest.approx(sum(one["runtime_seconds"] for one in told))
    assert {one["kind"] for one in told} == {"predict_part"} != {joined["kind"]}
    assert joined["inputs"].keys() == {f"part_{n + 1}" for n in range(parts)}


def test_a_part_goes_on_where_it_was_killed(content, whole, before):
    parts = [content | {"parts": 2, "part": part} for part in (1, 2)]
    before(1, torn)
    with pytest.raises(Killed):
        predict.main(parts[1])
    for part in parts:
        predict.main(part)
    predict.main(content | {"parts": 2})
    assert (OUT / "predictions.jsonl").read_bytes() == whole
    assert read_json(OUT / "manifest.json")["resumed_from"] == 1


def test_a_damaged_part_is_not_joined(content):
    for part in (1, 2):
        predict.main(content | {"parts": 2, "part": part})
    with (layout.prediction_part("tiny", "mix", "none", 0, 2) / "predictions.jsonl").open("a") as file:
        file.write("more")
    with pytest.raises(DataError, match=r"part2/predictions\.jsonl: damaged"):
        predict.main(content | {"parts": 2})
    assert not OUT.exists()


def put_endings(folder: Path, put_manifest: Callable[..., None]) -> None:
    """Two questions of HellaSwag, the second one's context longer than the tiny model's window."""
    (folder / "hellaswag").mkdir()
    rows = [
        {"activity_label": "Cooking", "ctx_a": start, "ctx_b": "she", "endings": ["cooks.", "sings.", "a", "b"]}
        | {"label": 0, "split_type": "indomain"}
        for start in ("A pan is hot.", "Very hot. " * 30)
    ]
    (folder / "hellaswag" / "hellaswag_test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    put_manifest(folder)


def test_endings_are_weighed_beside_answers(benchmark, monkeypatch, pictures, put_manifest, make_language_model):
    monkeypatch.setitem(FORMS, "hellaswag", HELLASWAG)
    put_endings(pictures, put_manifest)
    base = layout.language_model("lm")
    make_language_model(max_position_embeddings=128).save_pretrained(base)
    put_manifest(base)
    connector.main({**MODEL, "pretrain": PRETRAIN})
    tune.main(tuning("none", {"method": "none"}))
    asked = asking("none", {"method": "none"}, benchmark)
    endings = {**asked["benchmarks"]["pope"], "form": "hellaswag", "folder": "hellaswag"}
    predict.main(asked | {"benchmarks": {**asked["benchmarks"], "endings": endings}})
    lines = [json.loads(line) for line in (OUT / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["benchmark"] for line in lines] == ["endings"] * 2 + ["pope"] * 6
    weighed = [line for line in lines if line["benchmark"] == "endings"]
    assert {line["id"]: "context_cut" in line for line in weighed} == {"1": False, "2": True}
    assert read_json(OUT / "manifest.json")["contexts_cut"] == {"endings": 1}
    for line in weighed:
        assert len(json.loads(line["answer"])) == 4 and max(json.loads(line["answer"])) < 0


def test_questions_on_excluded_pictures_are_not_answered_and_are_counted(pictures, answered):
    archive = ImageArchive(pictures)
    write_images(pictures, [(name, b"" if name == "test/2.png" else archive.read(name)) for name in archive.names()])
    check.main({"world": "tiny", "name": "pictures", "faulty_pictures": "exclude"})
    features.main({"world": "tiny", "dataset": "pictures", "name": "eye", "encoder": MODEL["vision_encoder"]})
    lines, told = answered("none")
    assert {line["picture"] for line in lines} == {"pictures/test/0.png", "pictures/test/1.png"}
    assert told["left_out"] == {"pictures/pope/test": 3}
