"""A model that shares another's weights costs no memory, and what is put into one is not in the other."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import pytest
import torch

from steering.arms import LoraSettings, MoresSettings
from steering.methods import attach
from steering.model.language import quicken
from steering.model.marks import board_of
from steering.model.sharing import sharing

IDS = torch.tensor([[5, 6, 7, 8]])


@pytest.mark.parametrize("family", ["llama", "phi", "gemma2"])
def test_the_weights_are_the_same_tensors_and_the_modules_are_not(family: str, make_language_model: Callable) -> None:
    model = quicken(make_language_model(family, head_dim=8))
    copy = sharing(model)
    for one, other in zip(
        chain(model.parameters(), model.buffers()), chain(copy.parameters(), copy.buffers()), strict=True
    ):
        assert one is other
    assert not {id(module) for module in model.modules()} & {id(module) for module in copy.modules()}
    assert board_of(model) is not board_of(copy)
    assert torch.equal(model(IDS).logits, copy(IDS).logits)


def test_arms_on_one_base_do_not_meet(make_language_model: Callable) -> None:
    base = make_language_model()
    expected = base(IDS).logits
    low = attach(sharing(base), LoraSettings(rank=2), seed=0).eval()
    with torch.no_grad():
        for parameter in low.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3)
    assert not torch.equal(low(IDS).logits, expected)
    assert torch.equal(attach(sharing(base), MoresSettings(), seed=0).eval()(IDS).logits, expected)
    assert torch.equal(base(IDS).logits, expected)
