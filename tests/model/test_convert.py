"""Published folders become what this project loads, or are refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

from steering.errors import ParamsError
from steering.model.convert import convert_encoder, convert_language_model
from steering.model.encoders import load_encoder
from steering.model.language import load_language_model, load_tokenizer

EYE = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
READER = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": 50,
}
WHOLES: dict[str, tuple[Any, Any]] = {"clip": (CLIPModel, CLIPConfig), "siglip": (SiglipModel, SiglipConfig)}


def row(kind: str, **config: Any) -> dict[str, Any]:
    return {"kind": kind, "config": {**EYE, **config}, "tokens": 16, "width": 16}


def published(kind: str, folder: Path) -> Any:
    """The whole two-sided model that an encoder is published in."""
    model, config = WHOLES[kind]
    torch.manual_seed(3)
    whole = model(config(vision_config=EYE, text_config=READER)).eval()
    whole.save_pretrained(folder)
    return whole


@pytest.mark.parametrize("kind", WHOLES)
def test_an_encoder_is_taken_out_of_the_model_it_is_published_in(kind: str, tmp_path: Path) -> None:
    whole, pixels = published(kind, tmp_path / "hub"), torch.randn(2, 3, 32, 32)
    convert_encoder(tmp_path / "hub", row(kind), tmp_path / "eye")
    encoder = load_encoder(kind, EYE, tmp_path / "eye")
    states = whole.vision_model(pixels, output_hidden_states=True).hidden_states[-2]
    torch.testing.assert_close(encoder(pixels), states[:, kind == "clip" :])


def test_an_encoder_of_other_sizes_is_refused_by_its_weights(tmp_path: Path) -> None:
    published("clip", tmp_path / "hub")
    with pytest.raises(ParamsError, match=r"mlp.fc1.weight: \(24, 16\) where params.yaml says \(32, 16\)"):
        convert_encoder(tmp_path / "hub", row("clip", intermediate_size=32), tmp_path / "eye")


def test_an_encoder_with_more_layers_than_published_is_refused(tmp_path: Path) -> None:
    published("clip", tmp_path / "hub")
    with pytest.raises(ParamsError, match=r"encoder\.layers\.3\..*: missing"):
        convert_encoder(tmp_path / "hub", row("clip", num_hidden_layers=4), tmp_path / "eye")
    assert not (tmp_path / "eye").exists()


def told(model: Any, **others: Any) -> dict[str, Any]:
    sizes = ("model_type", "hidden_size", "num_hidden_layers", "vocab_size")
    return {"dtype": "float32", "config": {name: getattr(model.config, name) for name in sizes} | others}


def test_a_folder_in_shards_becomes_one_file_with_its_tokenizer(
    make_language_model: Callable, tokenizer: Any, tmp_path: Path
) -> None:
    model, ids = make_language_model("phi"), torch.tensor([[5, 6, 7]])
    model.save_pretrained(tmp_path / "hub", max_shard_size="20KB")
    tokenizer.save_pretrained(tmp_path / "hub")
    assert len(list((tmp_path / "hub").glob("*.safetensors"))) > 1
    convert_language_model(tmp_path / "hub", told(model), tmp_path / "lm")
    assert [path.name for path in (tmp_path / "lm").glob("*.safetensors")] == ["model.safetensors"]
    loaded = load_language_model(tmp_path / "lm", dtype="float32")
    assert torch.equal(loaded(ids).logits, model(ids).logits)
    assert load_tokenizer(tmp_path / "lm")("a b")["input_ids"] == tokenizer("a b")["input_ids"]


def test_a_language_model_of_other_sizes_is_refused(make_language_model: Callable, tmp_path: Path) -> None:
    model = make_language_model("phi")
    model.save_pretrained(tmp_path / "hub")
    with pytest.raises(ParamsError, match="num_hidden_layers: params.yaml says 9, "):
        convert_language_model(tmp_path / "hub", told(model, num_hidden_layers=9), tmp_path / "lm")


def pickled(folder: Path) -> None:
    """The folder as Vicuna is published: its weights as a pickle."""
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def test_a_pickle_of_tensors_becomes_safetensors(make_language_model: Callable, tokenizer: Any, tmp_path: Path) -> None:
    model = make_language_model("llama")
    model.save_pretrained(tmp_path / "published")
    tokenizer.save_pretrained(tmp_path / "published")
    pickled(tmp_path / "published")
    told = {key: getattr(model.config, key) for key in ("model_type", "hidden_size", "vocab_size")}
    convert_language_model(tmp_path / "published", {"config": told, "dtype": "float32"}, tmp_path / "out")
    loaded = load_language_model(tmp_path / "out", dtype="float32")
    assert all(torch.equal(weight, dict(model.named_parameters())[name]) for name, weight in loaded.named_parameters())
    published("clip", tmp_path / "eye")
    pickled(tmp_path / "eye")
    convert_encoder(tmp_path / "eye", row("clip"), tmp_path / "seen")
    assert (tmp_path / "seen" / "model.safetensors").exists()


class Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("was_run"),)


def test_a_pickle_that_would_run_something_is_refused(
    make_language_model: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = make_language_model("llama")
    model.save_pretrained(tmp_path)
    pickled(tmp_path)
    torch.save({**model.state_dict(), "extra": Runs()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(Exception, match="(?i)weights.?only|unsupported"):
        convert_language_model(tmp_path, {"config": {}, "dtype": "float32"}, tmp_path / "out")
    assert not (tmp_path / "was_run").exists()
