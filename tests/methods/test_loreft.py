"""LoReFT as a PEFT method: what it edits, shared or not, and that PEFT's own commands work with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftConfig, PeftModel, get_peft_model

from steering.arms import LanguageShape, LoreftSettings, VisionShape
from steering.errors import ParamsError
from steering.methods import attach
from steering.methods.loreft import LoReFTConfig

VISION = VisionShape(tokens=16, width=8)
every = pytest.mark.parametrize("shared", [True, False])


@every
@pytest.mark.parametrize("side", ["right", "left"])
def test_the_ends_of_the_prompt_are_edited(shared: bool, side: str, tiny: Callable, text: Callable, rows: list) -> None:
    batch = text(rows, side=side)
    settings = LoreftSettings(first_tokens=1, last_tokens=2, layers=[0], shared=shared)
    model = attach(tiny("llama"), settings, seed=0)
    left = batch.forward(model, output_hidden_states=True).hidden_states[1]
    plain = batch.forward(tiny("llama"), output_hidden_states=True).hidden_states[1]
    moved = (left != plain).any(-1)
    shift = batch.ids.shape[1] - batch.mask.sum(1) if side == "left" else torch.zeros(3, dtype=torch.long)
    found = [(row.nonzero().squeeze(1) - gap).tolist() for row, gap in zip(moved, shift, strict=True)]
    assert found == [[0, 20, 21], [0, 19, 20], [0, 4, 5]]


@pytest.mark.parametrize(
    "settings",
    [
        LoreftSettings(),
        LoreftSettings(rank=2, shared=False, layers="every_2nd"),
        LoreftSettings(shared=False, first_tokens=0),
    ],
)
def test_counts_are_the_closed_form(settings: LoreftSettings, tiny: Callable) -> None:
    model = attach(tiny("llama"), settings, seed=0)
    shape = LanguageShape.of(model.config)
    assert model.get_nb_trainable_parameters()[0] == settings.trainable(shape, VISION)


@every
def test_the_dead_parameters_are_those_the_settings_tell(
    shared: bool, tiny: Callable, text: Callable, rows: list
) -> None:
    settings = LoreftSettings(rank=2, first_tokens=1, last_tokens=1, shared=shared)
    model = attach(tiny("llama"), settings, seed=0)
    text(rows, side="left").logits(model)[:, -1].square().sum().backward()  # what the prompt's last token predicts
    own = [value for value in model.parameters() if value.requires_grad]
    dead = sum(value.numel() for value in own if value.grad.abs().max() == 0)
    assert dead == settings.dead(LanguageShape.of(model.config), VISION) == (0 if shared else 2 * (2 * 64 + 1))


def test_a_short_prompt_is_edited_by_both_ends_in_turn(tiny: Callable, text: Callable) -> None:
    batch = text([[5, 6]])
    settings = LoreftSettings(first_tokens=7, last_tokens=7, layers=[0], shared=False)
    model = attach(tiny("llama"), settings, seed=0)
    left = batch.forward(model, output_hidden_states=True).hidden_states[1][0]
    plain = batch.forward(tiny("llama"), output_hidden_states=True).hidden_states[1][0]
    editors = model.get_base_model().model.layers[0].steering_editors["default"]
    assert torch.equal(left, editors["last"](editors["first"](plain)))


@every
def test_peft_saves_and_loads_it(
    shared: bool, tmp_path: Path, tiny: Callable, text: Callable, rows: list, stir: Callable
) -> None:
    model = stir(attach(tiny("llama"), LoreftSettings(rank=2, shared=shared), seed=0))
    model.save_pretrained(tmp_path)
    assert isinstance(PeftConfig.from_pretrained(str(tmp_path)), LoReFTConfig)
    for options in ({}, {"low_cpu_mem_usage": True}, {"adapter_name": "other"}):
        loaded = PeftModel.from_pretrained(tiny("llama"), tmp_path, **options)
        assert torch.equal(text(rows).logits(loaded), text(rows).logits(model))
    with model.disable_adapter():
        assert torch.equal(text(rows).logits(model), text(rows).logits(tiny("llama")))


def test_adapters_live_side_by_side(tiny: Callable, text: Callable, rows: list, stir: Callable) -> None:
    batch, model = text(rows), stir(get_peft_model(tiny("llama"), LoReFTConfig(rank=2)))
    first = batch.logits(model)
    model.add_adapter("other", LoReFTConfig(rank=3, shared=False, layers=[1]))
    model.set_adapter("other")
    assert not torch.equal(batch.logits(stir(model, seed=5)), first)
    model.set_adapter("default")
    assert torch.equal(batch.logits(model), first)


def test_a_bad_config_is_refused_with_all_its_faults() -> None:
    with pytest.raises(ParamsError) as error:
        LoReFTConfig(rank=0, last_tokens=0, dropout=1.0)
    assert error.value.faults == [
        "LoReFTConfig.rank: 0; allowed 1 or more",
        "LoReFTConfig.last_tokens: 0; allowed 1 or more",
        "LoReFTConfig.dropout: 1.0; allowed 0 up to below 1",
    ]
