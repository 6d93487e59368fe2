"""The papers' Adapter as a PEFT method: where it sits, what it computes and what it starts as."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from contract import FAMILIES, conversation, language_model, loss, trainable
from peft import PeftModel, PeftType, get_peft_model
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from steering.arms import AdapterSettings
from steering.errors import ParamsError, SteeringError
from steering.methods import AdapterConfig, attach
from steering.methods.bottleneck import BottleneckLinear

SETTINGS = AdapterSettings(bottleneck=6)


@pytest.mark.parametrize("family", FAMILIES)
def test_it_sits_before_the_linears_that_widen_and_behind_the_one_that_narrows(family: str) -> None:
    model = attach(language_model(family), SETTINGS, seed=0)
    sides = {
        name.split("model.layers.")[1]: (module.behind, module.width)
        for name, module in model.named_modules()
        if isinstance(module, BottleneckLinear)
    }
    names = (
        {"fc1": False, "fc2": True} if family == "phi" else {"gate_proj": False, "up_proj": False, "down_proj": True}
    )
    assert sides == {f"{layer}.mlp.{name}": (side, 64) for layer in range(4) for name, side in names.items()}


def test_it_is_the_series_bottleneck_with_a_residual(stir: Callable) -> None:
    for behind in (False, True):
        layer: Any = BottleneckLinear(nn.Linear(*((96, 64) if behind else (64, 96))), behind=behind)
        layer.add("default", 6)
        stir(layer)
        down, up = layer.adapter_down["default"].weight, layer.adapter_up["default"].weight
        assert down.shape == (6, 64) and up.shape == (64, 6)

        def bent(states: torch.Tensor, down: Any = down, up: Any = up) -> torch.Tensor:
            return states + torch.tanh(states @ down.T) @ up.T

        states = torch.randn(3, 5, 96 if behind else 64)
        expected = bent(layer.base_layer(states)) if behind else layer.base_layer(bent(states))
        torch.testing.assert_close(layer(states), expected)


def test_it_starts_as_the_base_model_to_the_bit_and_learns_from_the_first_step() -> None:
    batch, model = conversation(), attach(language_model("llama"), SETTINGS, seed=0)
    assert torch.equal(batch.logits(model), batch.logits(language_model("llama")))
    loss(model, batch).backward()
    moving = {name for name, value in trainable(model).items() if value.grad is not None and value.grad.abs().max() > 0}
    assert moving == {name for name in trainable(model) if "adapter_up" in name}


def test_peft_makes_saves_and_loads_it(tmp_path: Path, stir: Callable) -> None:
    model = get_peft_model(language_model("phi"), AdapterConfig(task_type="CAUSAL_LM", bottleneck=5))
    assert model.get_nb_trainable_parameters()[0] == 4 * 2 * 2 * 5 * 64
    stir(model)
    model.save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
    loaded = PeftModel.from_pretrained(language_model("phi"), tmp_path / "adapter")
    lean = PeftModel.from_pretrained(language_model("phi"), tmp_path / "adapter", low_cpu_mem_usage=True)
    expected = conversation().logits(model)
    assert torch.equal(conversation().logits(loaded), expected) and torch.equal(conversation().logits(lean), expected)
    assert loaded.peft_config["default"].peft_type is PeftType("ADAPTER")


def test_unloading_leaves_the_base_model(stir: Callable) -> None:
    model: Any = stir(attach(language_model("llama"), SETTINGS, seed=0))
    unloaded = model.unload()
    assert torch.equal(conversation().logits(unloaded), conversation().logits(language_model("llama")))
    assert not any(isinstance(module, BottleneckLinear) for module in unloaded.modules())


def test_merging_is_refused() -> None:
    model: Any = attach(language_model("llama"), SETTINGS, seed=0)
    for merge in (model.merge_and_unload, model.merge_adapter):
        with pytest.raises(SteeringError, match="adapter: cannot be merged, tanh is not linear"):
            merge()


def test_a_bottleneck_of_nothing_is_refused() -> None:
    with pytest.raises(ParamsError, match="AdapterConfig.bottleneck: 0; allowed 1 or more"):
        AdapterConfig(bottleneck=0)


def test_an_unknown_family_is_refused() -> None:
    model = GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=10, bos_token_id=1, eos_token_id=2))
    with pytest.raises(SteeringError, match="GPT2LMHeadModel: .*; allowed phi, llama"):
        get_peft_model(model, AdapterConfig())
