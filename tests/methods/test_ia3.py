"""IA3 through PEFT: which channels are scaled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from contract import conversation, language_model

from steering.arms import Ia3Settings
from steering.methods import attach

SCALES = {
    "llama": {"k_proj": (32, 1), "v_proj": (32, 1), "down_proj": (1, 96)},
    "phi": {"k_proj": (64, 1), "v_proj": (64, 1), "fc2": (1, 96)},
}


@pytest.mark.parametrize("family", SCALES)
def test_outputs_of_k_and_v_and_inputs_of_the_last_feed_forward_linear_are_scaled(family: str) -> None:
    model = attach(language_model(family), Ia3Settings(), seed=0)
    scales = [(name, tuple(value.shape)) for name, value in model.named_parameters() if "ia3_l" in name]
    assert len(scales) == 12 and {(name.split(".")[-3], shape) for name, shape in scales} == set(SCALES[family].items())


@pytest.mark.parametrize("family", SCALES)
def test_a_scale_of_k_is_a_scale_of_its_weight_and_bias(family: str, stir: Callable) -> None:
    model: Any = stir(attach(language_model(family), Ia3Settings(), seed=0))
    layer = model.base_model.model.model.layers[1].self_attn.k_proj
    states, scale = torch.randn(3, 64), layer.ia3_l["default"].flatten()
    torch.testing.assert_close(layer(states), layer.base_layer(states) * scale)


def test_it_starts_as_the_base_model() -> None:
    model = attach(language_model("llama"), Ia3Settings(), seed=0)
    assert torch.equal(conversation().logits(model), conversation().logits(language_model("llama")))
