"""A method's strength: 0 is the frozen base, 1 is as trained, the first edited layer's delta is linear in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from steering.arms import (
    AdapterSettings,
    FullSettings,
    Ia3Settings,
    LoraSettings,
    LoreftSettings,
    MoresSettings,
    MrtSettings,
    NoneSettings,
    OftSettings,
)
from steering.data.collate import Batch, Sample, collate
from steering.data.templates import Turn
from steering.errors import SteeringError
from steering.methods import METHODS, adapt
from steering.methods.strength import REACH, at_strength, fault_of
from steering.model.composed import ComposedModel

SCALED = [
    MoresSettings(rank=2),
    MoresSettings(rank=2, placement="input", tied=False),
    MrtSettings(vision_rank=0, connector_rank=2, prefix_rank=2, suffix_rank=2),
    LoreftSettings(rank=2),
    LoraSettings(rank=4, alpha=8),
    AdapterSettings(bottleneck=4),
]
SWITCHED = [OftSettings(blocks=4), Ia3Settings()]


def named(settings: Any) -> str:
    return f"{settings.method}-{getattr(settings, 'placement', '')}".rstrip("-")


def batch() -> Batch:
    seen = torch.randn(2, 12, 8, generator=torch.Generator().manual_seed(0))
    return collate([Sample((1, 2, 3), (Turn((10, 11, 12)),), seen[0]), Sample((1,), (Turn((20, 21)),), seen[1])])


@pytest.fixture
def trained(make_model: Callable[..., ComposedModel]) -> Callable[[Any], tuple[ComposedModel, Any]]:
    """A model with a method whose weights are away from their start, frozen as a loaded run is."""

    def make(settings: Any) -> tuple[ComposedModel, Any]:
        model = make_model()
        adapted = adapt(model, settings, seed=0)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in adapted.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        model.eval().requires_grad_(False)
        return model, adapted

    return make


@torch.no_grad()
def logits(model: ComposedModel) -> Tensor:
    return model.logits(model.hidden(batch(), use_cache=False).last_hidden_state)


@torch.no_grad()
def first_output(model: ComposedModel) -> Tensor:
    """What the tuner layer that runs first gives."""
    seen: list[Tensor] = []

    def note(module: nn.Module, args: Any, output: Any) -> None:
        seen.append(output[0] if isinstance(output, tuple) else output)

    hooks = [m.register_forward_hook(note) for m in model.modules() if isinstance(m, BaseTunerLayer)]
    model.hidden(batch(), use_cache=False)
    for hook in hooks:
        hook.remove()
    return seen[0]


def test_every_method_tells_what_strengths_it_has() -> None:
    assert REACH.keys() == METHODS.keys()


@pytest.mark.parametrize("settings", [*SCALED, *SWITCHED], ids=named)
def test_strength_1_is_as_trained_to_the_bit(settings: Any, trained: Callable) -> None:
    model, _ = trained(settings)
    before = logits(model)
    with at_strength(model, settings.method, 1):
        assert torch.equal(logits(model), before)


@pytest.mark.parametrize("settings", [*SCALED, *SWITCHED], ids=named)
def test_strength_0_is_the_adapter_disabled_to_the_bit(
    settings: Any, trained: Callable, make_model: Callable[..., ComposedModel]
) -> None:
    model, adapted = trained(settings)
    assert isinstance(adapted, PeftModel)
    as_trained = logits(model)
    with at_strength(model, settings.method, 0):
        frozen = logits(model)
    with adapted.disable_adapter():
        assert torch.equal(frozen, logits(model))
    assert torch.equal(frozen, logits(make_model().eval()))
    assert not torch.equal(frozen, as_trained)


@pytest.mark.parametrize("settings", SCALED, ids=named)
@pytest.mark.parametrize("strength", [0.25, 0.5, 2.0])
def test_the_first_delta_is_linear_in_the_strength(settings: Any, strength: float, trained: Callable) -> None:
    model, _ = trained(settings)
    full = first_output(model)
    with at_strength(model, settings.method, 0):
        none = first_output(model)
    with at_strength(model, settings.method, strength):
        part = first_output(model)
    assert (full - none).abs().max() > 0.01
    if getattr(settings, "placement", "output") == "input":  # the layer, which is not linear, stands behind the edit
        assert not torch.equal(part, full) and not torch.equal(part, none)
        return
    torch.testing.assert_close(part - none, strength * (full - none), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("settings", [*SCALED, *SWITCHED], ids=named)
def test_all_is_as_before_afterwards_even_behind_an_error(settings: Any, trained: Callable) -> None:
    model, _ = trained(settings)
    before, wishes = logits(model), [parameter.requires_grad for parameter in model.parameters()]
    for strength in (0, 0.5, 1) if settings in SCALED else (0, 1):
        with pytest.raises(KeyError), at_strength(model, settings.method, strength):
            raise KeyError
        assert torch.equal(logits(model), before)
    assert [parameter.requires_grad for parameter in model.parameters()] == wishes


def test_strengths_may_stand_within_each_other(trained: Callable) -> None:
    model, _ = trained(MoresSettings(rank=2))
    with at_strength(model, "mores", 0.5):
        half = logits(model)
        with at_strength(model, "mores", 2):
            assert not torch.equal(logits(model), half)
        assert torch.equal(logits(model), half)


@pytest.mark.parametrize(
    ("settings", "strength", "told"),
    [
        (OftSettings(blocks=4), 0.5, "strength: 0.5; allowed 0 or 1, for oft is on or off"),
        (Ia3Settings(), 2, "strength: 2; allowed 0 or 1, for ia3 is on or off"),
        (FullSettings(), 0, "strength: 0; allowed 1, for full has replaced"),
        (MoresSettings(), -1, "strength: -1; allowed 0 or more"),
        (MoresSettings(), float("nan"), "strength: nan; allowed 0 or more"),
        (MoresSettings(), float("inf"), "strength: inf; allowed 0 or more"),
    ],
    ids=str,
)
def test_what_a_method_has_not_is_refused(settings: Any, strength: float, told: str, make_model: Callable) -> None:
    with pytest.raises(SteeringError, match=told), at_strength(make_model(settings), settings.method, strength):
        pass


@pytest.mark.parametrize("strength", [0, 0.5, 1, 2])
def test_the_control_is_the_same_at_every_strength(strength: float, make_model: Callable) -> None:
    model = make_model(NoneSettings()).eval()
    before = logits(model)
    assert fault_of("none", strength) is None
    with at_strength(model, "none", strength):
        assert torch.equal(logits(model), before)
