"""The tune stage trains what arm and recipe ask for: on cached features, or live where the encoder takes part."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_world import MODEL, PRETRAIN, put_conversations, put_parts, tuning

from stages import connector, tune
from steering import assemble, layout
from steering.data.conversations import Conversation, read, write
from steering.errors import CheckpointError, DataError
from steering.evaluate.trained import trained
from steering.manifest import read_json
from steering.metrics_log import read_metrics

MRT = {"method": "mrt", "vision_rank": 2, "connector_rank": 2, "prefix_rank": 1, "suffix_rank": 1}
MORES = {"method": "mores", "rank": 1}


@pytest.fixture(autouse=True)
def world(pictures, put_manifest, make_language_model, tokenizer) -> None:
    put_parts(make_language_model(), tokenizer, put_manifest)
    put_conversations(put_manifest)
    connector.main({**MODEL, "pretrain": PRETRAIN})


def tuned(arm: str, settings: dict[str, Any], **recipe: Any) -> tuple[Any, dict[str, Any]]:
    """The run's folder and its manifest."""
    tune.main(tuning(arm, settings, **recipe))
    folder = layout.run("tiny", "mix", arm, 0)
    return folder, read_json(folder / "manifest.json")


@pytest.mark.parametrize("settings", [{"method": "none"}, {"method": "lora", "rank": 2}, MORES], ids=str)
def test_cached_features_train_connector_and_method(settings, monkeypatch):
    monkeypatch.setattr(assemble, "vision", None)  # the encoder is not even loaded
    folder, told = tuned("arm", settings)
    assert not (folder / "encoder.safetensors").exists()
    assert "vision" not in told["inputs"]
    before = load_file(layout.connector("tiny", 0) / "connector.safetensors")
    after = load_file(folder / "connector.safetensors")
    assert before.keys() == after.keys()
    assert not torch.equal(before["layers.0.weight"], after["layers.0.weight"])
    assert told["trainable_all"] == told["trainable_llm"] + told["trainable_connector"]
    assert "trainable_encoder" not in told


def test_mrt_runs_live_and_keeps_its_editors_apart_from_the_connector():
    folder, told = tuned("mrt", MRT)
    assert told["inputs"]["vision"]
    assert not (folder / "encoder.safetensors").exists()
    editors = 2 * (2 * 16 + 1) + 2 * (2 * 32 + 1) + 2 * 2 * (2 * 32 + 1)
    assert told["trainable_llm"] == editors
    before, after = (load_file(place / "connector.safetensors") for place in (layout.connector("tiny", 0), folder))
    assert before.keys() == after.keys()
    assert told["trainable_connector"] == sum(t.numel() for name, t in after.items() if name not in ("mean", "std"))


@pytest.mark.parametrize(
    ("settings", "other"), [(MRT, True), (MRT | {"vision_rank": 0}, False), (MORES, False)], ids=str
)
def test_an_adapter_that_edits_the_encoder_belongs_to_that_encoder(settings, other, put_manifest):
    before = assemble.base_hash(tuning("arm", settings))
    eye = layout.vision_encoder("eye")
    changed = {name: tensor + 1 for name, tensor in load_file(eye / "model.safetensors").items()}
    save_file(changed, eye / "model.safetensors")
    put_manifest(eye)
    assert (assemble.base_hash(tuning("arm", settings)) != before) == other


@pytest.mark.parametrize("settings", [{"method": "none"}, MRT], ids=["none", "mrt"])
def test_trained_encoder_layers_are_saved_beside_the_connector(settings):
    folder, told = tuned("deep", settings, encoder_layers=1, encoder_learning_rate=1e-2)
    saved = load_file(folder / "encoder.safetensors")
    published = load_file(layout.vision_encoder("eye") / "model.safetensors")
    assert saved
    assert {name.split(".")[3] for name in saved} == {"1"}  # the last block that the features come through
    assert not all(torch.equal(tensor, published[name]) for name, tensor in saved.items())
    assert told["trainable_encoder"] == sum(tensor.numel() for tensor in saved.values())
    content = tuning("deep", settings)
    own = assemble.vision(content, folder).state_dict()
    assert all(torch.equal(own[name], saved.get(name, tensor)) for name, tensor in published.items())


def test_a_frozen_connector_comes_out_as_it_went_in():
    folder, told = tuned("lora", {"method": "lora", "rank": 2}, freeze_connector=True)
    before, after = (load_file(place / "connector.safetensors") for place in (layout.connector("tiny", 0), folder))
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert told["trainable_connector"] == 0


def test_the_control_of_a_frozen_connector_has_nothing_to_learn():
    folder, told = tuned("none", {"method": "none"}, freeze_connector=True)
    assert told["trainable_all"] == 0
    assert read_metrics(folder / "metrics.jsonl") == []


def test_edits_may_follow_the_prompts_attention():
    folder, _ = tuned("attended", MORES | {"tokens": {"attended": 2}})
    assert len(read_metrics(folder / "metrics.jsonl")) == 3


@pytest.mark.parametrize(
    "first", [{"method": "none"}, {"method": "lora", "rank": 2}, {"method": "ia3"}, {"method": "full"}], ids=str
)
def test_a_task_goes_on_from_a_tuned_run_with_its_method_merged(first):
    before, _ = tuned("first", first)
    content = tuning("second", MORES) | {"start": {"data": "mix", "arm": "first", "seed": 0}}
    began = assemble.language_model(content)
    untouched = assemble.language_model(tuning("second", MORES))
    prompt = torch.arange(8).unsqueeze(0)
    same = torch.equal(began(prompt).logits, untouched(prompt).logits)
    assert same == (first["method"] == "none")
    assert not any(parameter.requires_grad for parameter in began.parameters())
    tune.main(content)
    told = read_json(layout.run("tiny", "mix", "second", 0) / "manifest.json")
    assert told["inputs"]["start"] == told["inputs"]["connector"]
    model, _ = trained(content, layout.run("tiny", "mix", "second", 0))
    assert model.language_model is not None
    with pytest.raises(CheckpointError, match="base_hash"):  # its adapter belongs to what it started from
        trained(tuning("second", MORES), layout.run("tiny", "mix", "second", 0))


def test_a_damaged_encoder_is_told_before_training(put_manifest):
    (layout.vision_encoder("eye") / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(DataError, match=r"model\.safetensors: damaged"):
        tuned("mrt", MRT)


@pytest.mark.parametrize(
    ("settings", "recipe", "expected"),
    [
        ({"method": "none"}, {}, False),
        ({"method": "mrt"}, {}, True),
        (MRT | {"vision_rank": 0}, {}, False),
        ({"method": "none"}, {"encoder_layers": 2}, True),
        ({"method": "none"}, {"encoder_layers": "all"}, True),
    ],
)
def test_live_is_what_edits_or_trains_the_encoder(settings, recipe, expected):
    assert assemble.live(tuning("arm", settings, **recipe)) == expected


def ended(name: str, **changes: Any) -> dict[str, torch.Tensor]:
    """The weights that a run leaves with *changes* to its slice, under a name of its own."""
    tune.main(tuning(name, MORES) | changes)
    folder = layout.run("tiny", "mix", name, 0)
    saved = load_file(folder / "connector.safetensors") | load_file(folder / "adapter" / "adapter_model.safetensors")
    return dict(saved)


@pytest.mark.parametrize(
    "engine",
    [
        {"micro_batch": 1},
        {"gradient_checkpointing": True},
        {"workers": 1},
        {"kind": "deepspeed", "zero": 0},
        {"kind": "deepspeed", "zero": 2, "micro_batch": 1},
    ],
    ids=str,
)
def test_how_a_step_is_computed_changes_nothing_but_rounding(engine):
    plain = ended("plain")
    other = ended("other", engine={"kind": "torch", "zero": 0, "processes": 1} | engine)
    assert plain.keys() == other.keys()
    assert all(torch.allclose(plain[name], other[name], atol=1e-4) for name in plain)


def test_another_engine_delivers_what_is_finished(monkeypatch):
    before = ended("arm")
    monkeypatch.setattr(tune, "_train", None)  # not called: the state is under the same key
    after = ended("arm", engine={"kind": "torch", "zero": 0, "processes": 1, "micro_batch": 1})
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_manifest_tells_how_the_run_was_computed():
    _, told = tuned("arm", MORES)
    assert (told["processes"], told["device"], told["halvings"], told["resumed_from"]) == (1, "cpu", [], 0)


def test_conversations_that_cannot_be_trained_on_are_told_before_the_first_step():
    broken = [
        Conversation("gone", "pictures/train/99.png", (("Colour?", "red"),)),
        *read(layout.mixture("tiny", "mix")),
    ]
    write(layout.mixture("tiny", "mix"), broken)
    with pytest.raises(DataError, match=r"1 of 5 conversations cannot be used\n  unknown picture: 1") as refused:
        tuned("arm", MORES)
    assert "gone (pictures/train/99.png)" in str(refused.value)
