"""Methods in a composed model: where the adapted part goes, and when the model runs mixed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from contract import ARMS, language_model, trainable
from peft import PeftModel

from steering.methods import adapt
from steering.methods.adapters import load_adapter, save_adapter
from steering.methods.placing import WEIGHTS
from steering.model.composed import ComposedModel
from steering.model.connectors import build_connector


def composed(dtype: torch.dtype = torch.float32, family: str = "llama") -> ComposedModel:
    torch.manual_seed(3)
    return ComposedModel(build_connector("mlp2_gelu", width=8, hidden=64), language_model(family, dtype))


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_only_float32_weights_over_another_dtype_run_mixed(arm: str, dtype: torch.dtype) -> None:
    model = composed(dtype)
    adapt(model, ARMS[arm], seed=0)
    assert model.mixed is (ARMS[arm].method in WEIGHTS and dtype == torch.bfloat16)


@pytest.mark.parametrize("arm", ARMS)
def test_the_adapted_language_model_takes_its_place_and_mrt_adapts_the_composed_model(arm: str) -> None:
    model = composed()
    base = model.language_model
    adapted = adapt(model, ARMS[arm], seed=0)
    if arm == "mrt":
        assert model.language_model is base and isinstance(adapted, PeftModel) and adapted.get_base_model() is model
    else:
        assert model.language_model is adapted
    assert isinstance(adapted, PeftModel) == (arm not in ("none", "full"))


@pytest.mark.parametrize("arm", ARMS)
def test_loading_does_what_adapting_does(arm: str, tmp_path: Path, stir: Callable) -> None:
    trained, loaded, again = composed(torch.bfloat16), composed(torch.bfloat16), composed(torch.bfloat16)
    adapted = stir(adapt(trained, ARMS[arm], seed=0))
    save_adapter(adapted, tmp_path / "adapter", base_hash="abc")
    frozen = load_adapter(loaded, tmp_path / "adapter", base_hash="abc")
    assert (loaded.language_model is frozen) == (arm != "mrt")
    assert loaded.mixed == (trained.mixed and arm != "full")  # frozen, the whole model is in its own dtype again
    thawed = load_adapter(again, tmp_path / "adapter", base_hash="abc", trainable=True)
    assert again.mixed == trained.mixed and set(trainable(thawed)) == set(trainable(adapted))
