"""Edits that come and go: at the chosen positions alone, nothing before training, nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from steering.arms import LoraSettings, MoresSettings, NoneSettings
from steering.data.collate import Batch, Sample, collate
from steering.data.templates import Turn
from steering.methods.in_place import edited
from steering.methods.selectors import PatchSelector, SuffixSelector
from steering.methods.sites import decoder_layers

ARMS = {"none": NoneSettings(), "lora": LoraSettings(rank=2), "mores": MoresSettings(rank=1)}
PATCHES = PatchSelector((1, 3))


@pytest.fixture
def batch() -> Batch:
    torch.manual_seed(0)
    opening, question, answer = (10, 11, 12), (20, 21, 22, 23), (30, 31)
    return collate([Sample(opening, (Turn(question, answer),), torch.randn(4, 8))])


@pytest.fixture(params=ARMS)
def model(request, make_model: Callable[..., Any]) -> Any:
    return make_model(ARMS[request.param]).eval().requires_grad_(False)


def states(model: Any, batch: Batch) -> list[Tensor]:
    """What each decoder layer gives, (t, d)."""
    found: list[Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda module, args, output: found.append(output[0].clone()))
        for layer in decoder_layers(model.language_model)
    ]
    with torch.no_grad():
        model.hidden(batch, use_cache=False)
    for hook in hooks:
        hook.remove()
    return [layer.squeeze(0) for layer in found]


def push(editors: Any) -> None:
    with torch.no_grad():
        for editor in editors:
            editor.bias += 1


def test_before_it_is_trained_an_edit_changes_nothing_to_the_bit(model, batch):
    plain = states(model, batch)
    for selector in (PATCHES, SuffixSelector(2)):
        with edited(model, selector, rank=2, layers="all", seed=0):
            assert all(torch.equal(one, other) for one, other in zip(states(model, batch), plain, strict=True))


@pytest.mark.parametrize(("selector", "places"), [(PATCHES, {4, 6}), (SuffixSelector(2), {9, 10})])
def test_an_edit_touches_the_chosen_positions_and_no_other(model, batch, selector, places):
    plain = states(model, batch)
    with edited(model, selector, rank=1, layers=[0], seed=0) as editors:
        push(editors)
        first, second = states(model, batch)
    changed = {at for at in range(len(first)) if not torch.equal(first[at], plain[0][at])}
    assert changed == places
    assert all(torch.equal(second[at], plain[1][at]) for at in range(min(places)))  # what comes before sees nothing


def test_only_the_scheduled_layers_are_edited(model, batch):
    plain = states(model, batch)
    with edited(model, PATCHES, rank=1, layers=[1], seed=0) as editors:
        assert len(editors) == 1
        push(editors)
        first, second = states(model, batch)
    assert torch.equal(first, plain[0]) and not torch.equal(second, plain[1])


def test_afterwards_the_model_is_as_it_was(model, batch):
    plain, names = states(model, batch), [name for name, _ in model.named_modules()]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    onlookers, hooks = len(model.board.onlookers), [len(m._forward_hooks) for m in model.modules()]
    with pytest.raises(ZeroDivisionError), edited(model, PATCHES, rank=1, layers="all", seed=0) as editors:
        push(editors)
        raise ZeroDivisionError
    assert [name for name, _ in model.named_modules()] == names
    assert (len(model.board.onlookers), [len(m._forward_hooks) for m in model.modules()]) == (onlookers, hooks)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(torch.equal(one, other) for one, other in zip(states(model, batch), plain, strict=True))


def test_the_start_follows_from_the_seed_and_leaves_torchs_generator_alone(model):
    def start(seed: int) -> Tensor:
        with edited(model, PATCHES, rank=2, layers=[0], seed=seed) as editors:
            return editors[0].basis.detach().clone()

    state = torch.get_rng_state()
    assert torch.equal(start(1), start(1)) and not torch.equal(start(1), start(2))
    assert torch.equal(torch.get_rng_state(), state)
