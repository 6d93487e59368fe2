"""Marks and masks of composed models: shown in the pass alone, finite, left out where rows are plainly causal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from steering.arms import MoresSettings, NoneSettings
from steering.data.collate import Sample, collate
from steering.errors import ParamsError
from steering.methods import attach
from steering.model.composed import ComposedModel
from steering.model.connectors import build_connector
from tests.model.asked import ARMS, OPENING, TURNS


@pytest.mark.parametrize("settings", ARMS, ids=lambda arm: arm.method)
def test_marks_are_on_show_during_the_pass_alone(settings: Any, make_model: Callable) -> None:
    model, batch = make_model(settings), collate([Sample(OPENING, TURNS, torch.randn(5, 8))])
    shown: list[Any] = []
    inner = model.language_model.get_base_model() if hasattr(model.language_model, "peft_config") else None
    backbone = (inner or model.language_model).model
    backbone.register_forward_pre_hook(lambda *_: shown.append(model.board.current))
    model(batch)
    assert len(shown) == 1
    assert shown[0] is batch.marks
    assert model.board.current is None


def test_the_mask_is_of_the_words_dtype_and_finite(make_language_model: Callable) -> None:
    model = ComposedModel(
        build_connector("linear", width=8, hidden=32),
        attach(make_language_model().to(torch.bfloat16), NoneSettings(), seed=0),
    )
    batch = collate([Sample(OPENING, TURNS[:1], torch.randn(5, 8).half()), Sample(OPENING, TURNS)])
    mask = model.mask(batch.visible)
    assert mask.dtype == torch.bfloat16
    assert mask.isfinite().all()
    assert torch.equal(mask == 0, batch.visible)
    loss, _ = model(batch)
    assert loss.dtype == torch.float32
    assert loss.isfinite()


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_both_attention_implementations_give_one_loss(attention: str, make_model: Callable) -> None:
    model, batch = (
        make_model(),
        collate([Sample(OPENING, TURNS, torch.ones(5, 8)), Sample(OPENING, TURNS[:1])], pad_left=True),
    )
    expected = model(batch)[0]
    model.language_model.set_attn_implementation(attention)
    assert torch.allclose(model(batch)[0], expected, atol=1e-5)


@pytest.mark.parametrize("pad_left", [False, True], ids=["right", "left"])
@pytest.mark.parametrize("family", ["llama", "phi", "qwen2"])
def test_plainly_causal_rows_need_no_mask_of_pairs(family: str, pad_left: bool, make_model: Callable) -> None:
    model = make_model(MoresSettings(rank=2), family=family)
    samples = [Sample(OPENING, TURNS, torch.ones(5, 8)), Sample(OPENING, TURNS[:1])]
    batch = collate(samples, independent=False, pad_left=pad_left)
    asked: list[int] = []
    model.language_model.get_base_model().model.register_forward_pre_hook(
        lambda module, inputs, named: asked.append(named["attention_mask"].ndim), with_kwargs=True
    )
    quick, _ = model(batch)
    masked, _ = model(replace(batch, causal=False))
    assert asked == [2, 4]
    assert torch.allclose(quick, masked, atol=1e-5)
    (one,) = torch.autograd.grad(quick, [model.connector.layers[0].weight])
    (other,) = torch.autograd.grad(masked, [model.connector.layers[0].weight])
    assert torch.allclose(one, other, atol=1e-5)


def test_only_rows_of_one_question_at_most_are_plainly_causal() -> None:
    several, one, none = (Sample(OPENING, TURNS[:count], torch.ones(5, 8)) for count in (2, 1, 0))
    assert collate([one, none]).causal
    assert collate([several, one], independent=False).causal
    assert not collate([several, one]).causal


def test_flash_attention_refuses_questions_that_may_not_see_each_other(make_model: Callable) -> None:
    model = make_model()
    model.config._attn_implementation = "flash_attention_2"
    with pytest.raises(ParamsError, match="with several independent turns a sample; allowed: sdpa"):
        model(collate([Sample(OPENING, TURNS, torch.ones(5, 8))]))
