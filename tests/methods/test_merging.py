"""A merged adapter answers as it did beside the weights; what cannot be merged is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from contract import ARMS, MERGEABLE, language_model
from peft import PeftModel

from steering.data.collate import Batch, Sample, collate
from steering.data.templates import Turn
from steering.errors import SteeringError
from steering.methods import adapt
from steering.methods.merging import MERGES, merge
from steering.model.composed import ComposedModel
from steering.model.connectors import build_connector


def composed(arm: str, stir: Callable, dtype: torch.dtype = torch.float32) -> ComposedModel:
    torch.manual_seed(3)
    model = ComposedModel(build_connector("mlp2_gelu", width=8, hidden=64), language_model("llama", dtype))
    stir(adapt(model, ARMS[arm], seed=0))
    return model.eval()


def batch() -> Batch:
    picture = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    return collate([Sample((5, 6), (Turn((7, 8, 9)),), picture)])


@torch.no_grad()
def logits(model: ComposedModel) -> torch.Tensor:
    return model.logits(model.hidden(batch(), use_cache=False).last_hidden_state)


@pytest.mark.parametrize("arm", MERGEABLE)
def test_merged_logits_are_those_of_the_adapter_beside_the_weights(arm: str, stir: Callable) -> None:
    model = composed(arm, stir)
    expected, bare = logits(model), logits(composed("none", stir))
    assert not torch.allclose(expected, bare, atol=1e-3)
    torch.testing.assert_close(logits(merge(model)), expected, rtol=1e-4, atol=1e-4)
    assert not isinstance(model.language_model, PeftModel)


def test_what_is_merged_runs_in_the_base_models_dtype_alone(stir: Callable) -> None:
    model = composed("lora", stir, torch.bfloat16)
    assert model.mixed
    assert not merge(model).mixed
    assert {weight.dtype for weight in model.language_model.parameters()} == {torch.bfloat16}
    assert logits(model).isfinite().all()


@pytest.mark.parametrize("arm", ["none", "full", "adapter", "mores", "mrt", "loreft"])
def test_what_cannot_be_merged_is_refused(arm: str, stir: Callable) -> None:
    model = ComposedModel(torch.nn.Identity(), language_model("llama"))
    adapt(model, ARMS[arm], seed=0)
    with pytest.raises(SteeringError, match="allowed"):
        merge(model)


def test_merges_names_the_methods_that_the_contract_merges() -> None:
    assert {ARMS[arm].method for arm in MERGEABLE} == MERGES
