"""Trainable parameters: what the closed form says, what a model has and what the papers print are the same."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from contract import ARMS, FAMILIES, TUNED, VISION, language_model, trainable
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from steering.arms import (
    AdapterSettings,
    FullSettings,
    Ia3Settings,
    LanguageShape,
    LoraSettings,
    LoreftSettings,
    MoresSettings,
    MrtSettings,
    NoneSettings,
    OftSettings,
)
from steering.methods import attach

SIZES: dict[str, dict[str, Any]] = {
    "3b": {"model_type": "phi", "hidden_size": 2560, "num_hidden_layers": 32, "intermediate_size": 10240}
    | {"vocab_size": 51200, "num_attention_heads": 32},
    "7b": {"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "intermediate_size": 11008}
    | {"vocab_size": 32000, "num_attention_heads": 32},
    "13b": {"model_type": "llama", "hidden_size": 5120, "num_hidden_layers": 40, "intermediate_size": 13824}
    | {"vocab_size": 32000, "num_attention_heads": 40},
}
TEXT_ONLY = {"vision_rank": 0, "connector_rank": 0}
COUNTS: list[tuple[Any, tuple[int, ...]]] = [
    (NoneSettings(), (0, 0, 0)),
    (LoraSettings(), (188_743_680, 319_815_680, 500_695_040)),
    (AdapterSettings(), (83_886_080, 201_326_592, 314_572_800)),
    (OftSettings(), (19_537_920, 50_135_040, 97_996_800)),
    (Ia3Settings(), (491_520, 614_400, 962_560)),
    (MoresSettings(), (163_872, 262_176, 409_640)),
    (MoresSettings(rank=2), (327_744, 524_352, 819_280)),
    (MoresSettings(rank=4), (655_488, 1_048_704, 1_638_560)),
    (MoresSettings(rank=8), (1_310_976, 2_097_408, 3_277_120)),
    (MrtSettings(suffix_rank=0, **TEXT_ONLY), (655_488, 1_048_704, 1_638_560)),
    (MrtSettings(**TEXT_ONLY), (1_310_976, 2_097_408, 3_277_120)),
    (LoreftSettings(), (655_488, 1_048_704, 1_638_560)),
    (FullSettings(), (2_779_683_840, 6_738_415_616, 13_015_864_320)),
]
OFT_AS_THE_PAPERS_COUNT = {"3b": 39_321_600, "7b": 100_663_296, "13b": 196_608_000}


@cache
def shape(size: str) -> LanguageShape:
    return LanguageShape.of(AutoConfig.for_model(**SIZES[size]))


def weightless(size: str) -> nn.Module:
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(**SIZES[size]))


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in trainable(model).values())


@pytest.mark.parametrize("size", SIZES)
def test_counts_at_full_size_are_the_closed_form_and_the_papers(size: str) -> None:
    base: Any = weightless(size)
    for settings, counts in COUNTS:  # full is last, for it leaves the model trainable
        with torch.device("meta"):
            model: Any = attach(base, settings, seed=0)
        told = settings.trainable(shape(size), VISION)
        assert count(model) == told == counts[list(SIZES).index(size)], settings
        base = model.unload() if hasattr(model, "unload") else model


@pytest.mark.parametrize("size", SIZES)
def test_oft_is_counted_in_full_blocks_by_the_papers(size: str) -> None:
    assert OftSettings().papers_count(shape(size), VISION) == OFT_AS_THE_PAPERS_COUNT[size]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("arm", TUNED)
def test_small_counts_are_the_closed_form(arm: str, family: str) -> None:
    model = attach(language_model(family), ARMS[arm], seed=0)
    assert count(model) == ARMS[arm].trainable(LanguageShape.of(model.config), VISION)
