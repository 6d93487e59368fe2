"""Full fine-tuning: the whole language model in float32, kept on disk in the base model's dtype."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from contract import conversation, language_model, loss
from safetensors.torch import load_file

from steering.arms import FullSettings
from steering.errors import SteeringError
from steering.methods import attach
from steering.methods.adapters import load_adapter, save_adapter
from steering.methods.full import is_whole

BFLOAT16 = torch.bfloat16


def test_the_model_itself_is_trained_in_float32() -> None:
    base = language_model("llama", BFLOAT16)
    model = attach(base, FullSettings(), seed=0)
    assert model is base and is_whole(model)
    assert all(value.requires_grad and value.dtype == torch.float32 for value in model.parameters())


def test_it_starts_as_the_base_model() -> None:
    batch = conversation()
    assert torch.equal(
        batch.logits(attach(language_model("phi"), FullSettings(), seed=0)), batch.logits(language_model("phi"))
    )


def test_tied_embeddings_stay_tied() -> None:
    model: Any = attach(language_model("qwen2", BFLOAT16), FullSettings(), seed=0)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    loss(model, conversation()).backward()
    torch.optim.AdamW(model.parameters(), lr=0.1).step()
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_on_disk_is_every_weight_once_in_the_dtype_of_the_base_model(tmp_path: Path) -> None:
    model: Any = attach(language_model("qwen2", BFLOAT16), FullSettings(), seed=0)
    save_adapter(model, tmp_path / "full", base_hash="abc")
    assert {path.name for path in (tmp_path / "full").iterdir()} == {"adapter_base.json", "adapter_model.safetensors"}
    tensors = load_file(tmp_path / "full" / "adapter_model.safetensors")
    assert all(tensor.dtype == BFLOAT16 for tensor in tensors.values())
    assert "lm_head.weight" not in tensors and "model.embed_tokens.weight" in tensors
    assert sum(tensor.numel() for tensor in tensors.values()) == model.num_parameters()
    assert all(value.dtype == torch.float32 for value in model.parameters())  # saving leaves what is trained alone


def test_loaded_to_be_trained_it_is_float32_again_and_saves_the_same_bytes(tmp_path: Path) -> None:
    model = attach(language_model("qwen2", BFLOAT16), FullSettings(), seed=0)
    folders = [tmp_path / "one", tmp_path / "two"]
    save_adapter(model, folders[0], base_hash="abc")
    again: Any = load_adapter(language_model("qwen2", BFLOAT16), folders[0], base_hash="abc", trainable=True)
    assert all(value.requires_grad and value.dtype == torch.float32 for value in again.parameters())
    assert again.lm_head.weight is again.model.embed_tokens.weight
    save_adapter(again, folders[1], base_hash="abc")
    for path in folders[0].iterdir():
        assert path.read_bytes() == (folders[1] / path.name).read_bytes()


def test_quantised_weights_are_refused() -> None:
    model: Any = language_model("llama")
    model.model.layers[0].mlp.up_proj.weight = torch.nn.Parameter(torch.zeros(4, dtype=torch.uint8), False)
    with pytest.raises(SteeringError, match="full: quantised weights cannot be trained"):
        attach(model, FullSettings(), seed=0)
    assert not is_whole(model) and not any(value.requires_grad for value in model.parameters())
