"""LoRA through PEFT: where it sits and what it starts as."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from steering.arms import AdapterSettings, Ia3Settings, LoraSettings, OftSettings
from steering.methods import attach

PROJECTIONS = {
    "llama": {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"},
    "phi": {"q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2"},
}


def targets(model: torch.nn.Module) -> set[str]:
    names = [name for name, _ in model.named_parameters() if "lora_A" in name]
    return {name.split(".lora_A")[0].split(".")[-1] for name in names}


@pytest.mark.parametrize("family", ["llama", "phi"])
def test_all_linear_is_every_linear_but_lm_head(family: str, tiny: Callable) -> None:
    assert targets(attach(tiny(family), LoraSettings(rank=2), seed=0)) == PROJECTIONS[family]


def test_named_targets_are_those_alone(tiny: Callable) -> None:
    assert targets(attach(tiny("llama"), LoraSettings(rank=2, targets=["q_proj", "up_proj"]), seed=0)) == {
        "q_proj",
        "up_proj",
    }


def test_lora_starts_as_the_base_model(tiny: Callable, text: Callable, rows: list) -> None:
    model = attach(tiny("llama"), LoraSettings(rank=2), seed=0)
    assert torch.equal(text(rows).logits(model), text(rows).logits(tiny("llama")))


def test_the_settings_reach_peft(tiny: Callable) -> None:
    config = attach(tiny("llama"), LoraSettings(rank=3, alpha=12, dropout=0.1), seed=0).peft_config["default"]
    assert (config.r, config.lora_alpha, config.lora_dropout, config.bias) == (3, 12, 0.1, "none")


@pytest.mark.parametrize(
    "settings", [LoraSettings(rank=2), AdapterSettings(bottleneck=2), OftSettings(blocks=4), Ia3Settings()]
)
def test_a_llava_is_adapted_in_its_language_model_alone(settings: object) -> None:
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    vision = CLIPVisionConfig(**sizes, image_size=8, patch_size=4)
    words = LlamaConfig(**sizes, vocab_size=50, bos_token_id=1, eos_token_id=2)
    llava = LlavaForConditionalGeneration(LlavaConfig(vision_config=vision, text_config=words, image_token_index=49))
    model = attach(llava, settings, seed=0)  # type: ignore[arg-type]
    own = [name for name, value in model.named_parameters() if value.requires_grad]
    assert own and all(".language_model.layers." in name for name in own)
    assert any("k_proj" in name and "vision_tower" in name for name, _ in model.named_parameters())
