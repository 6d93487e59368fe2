"""What the prompt attends to is the base model's own attention, whatever has been trained on top of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from steering.analyse.attended import chooser, prompt_attention
from steering.arms import LoraSettings, MoresSettings, NoneSettings, TokenChoice
from steering.data.collate import Batch, Sample, collate
from steering.data.templates import Turn
from steering.model.marks import Marks

OPENING = (1, 2, 3)
TURNS = (Turn((10, 11, 12), (13, 14, 9)), Turn((20, 21), (22, 9)))
ARMS = [LoraSettings(rank=2), MoresSettings(rank=2)]


def batch(**options: Any) -> Batch:
    """Two pictured samples with one of text alone between them."""
    seen = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(0))
    samples = [Sample(OPENING, TURNS, seen[0]), Sample(OPENING, TURNS[:1]), Sample(OPENING, TURNS[1:], seen[1])]
    return collate(samples, **options)


@pytest.mark.parametrize("settings", ARMS, ids=lambda arm: arm.method)
def test_adapters_have_no_say_and_stay_on(settings: Any, make_model: Callable) -> None:
    base, model = make_model(NoneSettings()).eval(), make_model(settings).eval()
    with torch.no_grad():
        for parameter in model.language_model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.5)
    before, gradients = model(batch())[0], {name: p.requires_grad for name, p in model.named_parameters()}
    assert torch.equal(prompt_attention(model, batch()), prompt_attention(base, batch()))
    assert not torch.equal(before, base(batch())[0])
    assert torch.equal(model(batch())[0], before)
    assert {name: p.requires_grad for name, p in model.named_parameters()} == gradients


def test_an_answer_may_be_sought_in_inference_mode(make_model: Callable) -> None:
    model = make_model(MoresSettings(rank=2)).eval()
    expected = prompt_attention(model, batch())
    with torch.inference_mode():
        assert torch.equal(prompt_attention(model, batch()), expected)


def test_prompt_attention_is_the_mean_of_the_models_maps(make_model: Callable) -> None:
    model = make_model()
    some = batch(pad_left=True)
    attended = prompt_attention(model, some)
    model.language_model.set_attn_implementation("eager")
    maps = model.run(some, some.marks, use_cache=False, output_attentions=True).attentions
    whole = torch.stack(maps).mean((0, 2))  # (b, t, t)
    for row, prompt in enumerate(some.marks.prompt):
        assert torch.allclose(attended[row], whole[row][prompt].mean(0), atol=1e-5)
    assert torch.allclose(attended.sum(1), torch.ones(3), atol=1e-5)


def test_a_sample_without_a_prompt_attends_to_nothing(make_model: Callable) -> None:
    model = make_model()
    caption = Sample((), (Turn((), (5, 9)),), torch.zeros(6, 8))
    assert prompt_attention(model, collate([caption])).abs().sum() == 0


def test_where_there_is_no_picture_nothing_is_asked(make_model: Callable) -> None:
    model, plain = make_model(MoresSettings(tokens=TokenChoice(attended=2))).eval(), make_model().eval()
    model.attend = lambda batch: pytest.fail("asked")
    text = collate([Sample(OPENING, TURNS)])
    assert torch.equal(model(text)[0], plain(text)[0])


def test_what_the_prompt_attends_to_is_on_show(make_model: Callable) -> None:
    model = make_model()
    some, shown = batch(), []
    model.attend = chooser(model, {"method": "mores", "tokens": {"attended": 2}})

    @contextmanager
    def show(marks: Marks) -> Any:
        shown.append(marks)
        yield

    model.board.show = show
    loss = model(some)[0]
    assert [getattr(marks, "attended", None) is None for marks in shown] == [True, False]
    assert torch.equal(shown[1].attended, prompt_attention(model, some))
    model.attend = None
    assert torch.equal(model(some)[0], loss)
    assert chooser(model, {"method": "lora"}) is chooser(model, {"method": "mores", "tokens": {"patches": [0]}}) is None
