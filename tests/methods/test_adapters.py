"""Adapters on disk: small, whole, and for one base model only."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from contract import ARMS, IN_PEFT, TUNED
from peft import PeftModel
from safetensors.torch import load_file, save_file

from steering.arms import MoresSettings, NoneSettings
from steering.errors import CheckpointError
from steering.methods import attach
from steering.methods.adapters import load_adapter, save_adapter


@pytest.fixture
def saved(tmp_path: Path, tiny: Callable, stir: Callable) -> Path:
    folder = tmp_path / "adapter"
    save_adapter(stir(attach(tiny("llama"), MoresSettings(), seed=0)), folder, base_hash="abc")
    return folder


def test_the_folder_holds_own_parameters_only(saved: Path) -> None:
    assert {path.name for path in saved.iterdir()} == {
        "adapter_base.json",
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    tensors = load_file(saved / "adapter_model.safetensors")
    assert len(tensors) == 12 and all(".steering_editors." in name for name in tensors)
    assert sum(tensor.numel() for tensor in tensors.values()) == 4 * (2 * 64 + 1)
    assert (saved / "adapter_model.safetensors").stat().st_size < 5000
    base = {"method": "mores", "base_hash": "abc", "hidden": 64, "layers": 4}
    assert json.loads((saved / "adapter_base.json").read_text()) == base


def test_peft_reads_the_folder_too(saved: Path, tiny: Callable, text: Callable, rows: list) -> None:
    ours = load_adapter(tiny("llama"), saved, base_hash="abc")
    theirs = PeftModel.from_pretrained(tiny("llama"), saved)
    assert torch.equal(text(rows).logits(ours), text(rows).logits(theirs))


def test_none_saves_a_note_alone(tmp_path: Path, tiny: Callable, text: Callable, rows: list) -> None:
    save_adapter(attach(tiny("llama"), NoneSettings(), seed=0), tmp_path / "adapter", base_hash="abc")
    assert [path.name for path in (tmp_path / "adapter").iterdir()] == ["adapter_base.json"]
    model = load_adapter(tiny("llama"), tmp_path / "adapter", base_hash="abc")
    assert torch.equal(text(rows).logits(model), text(rows).logits(tiny("llama")))


def test_saving_replaces_what_was_there(saved: Path, tiny: Callable) -> None:
    save_adapter(attach(tiny("llama"), NoneSettings(), seed=0), saved, base_hash="abc")
    assert [path.name for path in saved.parent.iterdir()] == ["adapter"]
    assert [path.name for path in saved.iterdir()] == ["adapter_base.json"]


@pytest.mark.parametrize("arm", IN_PEFT)
def test_equal_adapters_are_equal_bytes(tmp_path: Path, tiny: Callable, arm: str) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        save_adapter(attach(tiny("llama"), ARMS[arm], seed=0), folder, base_hash="abc")
    for path in folders[0].iterdir():
        assert path.read_bytes() == (folders[1] / path.name).read_bytes()
    config = json.loads((folders[0] / "adapter_config.json").read_text())
    assert config["target_modules"] == sorted(config["target_modules"]) or isinstance(config["target_modules"], str)


def test_a_loaded_adapter_is_frozen_unless_asked(saved: Path, tiny: Callable) -> None:
    for wanted in (False, True):
        model = load_adapter(tiny("llama"), saved, base_hash="abc", trainable=wanted)
        assert sum(value.requires_grad for value in model.parameters()) == (12 if wanted else 0)


def test_loading_leaves_the_random_numbers_alone(saved: Path, tiny: Callable) -> None:
    model = tiny("llama")
    torch.manual_seed(4)
    expected = torch.rand(2)
    torch.manual_seed(4)
    load_adapter(model, saved, base_hash="abc")
    assert torch.equal(torch.rand(2), expected)


def test_another_base_model_is_refused(saved: Path, tiny: Callable) -> None:
    with pytest.raises(CheckpointError, match="adapter_base.json: base_hash: abc; allowed xyz"):
        load_adapter(tiny("llama"), saved, base_hash="xyz")


def test_another_size_or_depth_is_refused(saved: Path, tiny: Callable) -> None:
    note = json.loads((saved / "adapter_base.json").read_text()) | {"hidden": 128, "layers": 6}
    (saved / "adapter_base.json").write_text(json.dumps(note))
    with pytest.raises(CheckpointError) as error:
        load_adapter(tiny("llama"), saved, base_hash="abc")
    assert "hidden: 128; allowed 64" in str(error.value) and "layers: 6; allowed 4" in str(error.value)


@pytest.mark.parametrize("arm", TUNED)
def test_missing_extra_and_misshapen_tensors_are_refused_at_once_and_the_model_is_as_it_was(
    arm: str, tmp_path: Path, tiny: Callable, text: Callable, rows: list, stir: Callable
) -> None:
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    save_adapter(stir(attach(tiny("llama"), ARMS[arm], seed=0)), path.parent, base_hash="abc")
    tensors = load_file(path)
    first, second = sorted(tensors)[:2]
    tensors.pop(first)
    allowed = tuple(tensors[second].shape)
    save_file(tensors | {"other": torch.zeros(1), second: torch.zeros(7, 7)}, path)
    model = tiny("llama").requires_grad_(True)
    modules, flags = set(model.modules()), {name: value.requires_grad for name, value in model.named_parameters()}
    with pytest.raises(CheckpointError) as error:
        load_adapter(model, path.parent, base_hash="abc")
    assert f"{first} is missing" in str(error.value) and "other is unknown" in str(error.value)
    assert f"{second} has shape (7, 7); allowed {allowed}" in str(error.value)
    assert set(model.modules()) == modules and not hasattr(model, "peft_config")
    assert {name: value.requires_grad for name, value in model.named_parameters()} == flags
    assert torch.equal(text(rows).logits(model), text(rows).logits(tiny("llama")))


@pytest.mark.parametrize("name", ["adapter_base.json", "adapter_config.json", "adapter_model.safetensors"])
@pytest.mark.parametrize("fate", ["truncated", "removed"])
def test_a_damaged_file_is_refused_by_name(saved: Path, name: str, fate: str, tiny: Callable) -> None:
    path = saved / name
    if fate == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CheckpointError, match=name):
        load_adapter(tiny("llama"), saved, base_hash="abc")


def test_a_configuration_of_no_known_method_is_refused(saved: Path, tiny: Callable) -> None:
    (saved / "adapter_config.json").write_text('{"peft_type": "MORS"}')
    with pytest.raises(CheckpointError, match="adapter_config.json: peft_type: MORS; allowed MORES, as adapter_base"):
        load_adapter(tiny("llama"), saved, base_hash="abc")


def test_a_note_of_no_known_method_is_refused(saved: Path, tiny: Callable) -> None:
    note = json.loads((saved / "adapter_base.json").read_text()) | {"method": "mors"}
    (saved / "adapter_base.json").write_text(json.dumps(note))
    with pytest.raises(CheckpointError, match="adapter_base.json: method: mors; allowed .* .did you mean mores"):
        load_adapter(tiny("llama"), saved, base_hash="abc")


@pytest.mark.parametrize("change", [{"rank": 0}, {"layers": [9]}, {"layers": "everywhere"}])
def test_a_configuration_that_does_not_fit_is_refused_and_the_model_is_as_it_was(
    saved: Path, change: dict, tiny: Callable, text: Callable, rows: list
) -> None:
    config = json.loads((saved / "adapter_config.json").read_text()) | change
    (saved / "adapter_config.json").write_text(json.dumps(config))
    model = tiny("llama")
    with pytest.raises(CheckpointError, match="adapter_config.json"):
        load_adapter(model, saved, base_hash="abc")
    assert not hasattr(model, "peft_config")
    assert torch.equal(text(rows).logits(model), text(rows).logits(tiny("llama")))
