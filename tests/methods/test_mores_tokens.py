"""MoReS at chosen tokens, and with its two projections untied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from steering.arms import MoresSettings, TokenChoice
from steering.errors import DataError, ParamsError
from steering.methods import MoReSConfig, attach


@pytest.mark.parametrize("tokens", [{"box": [0.0, 0.0, 0.5, 0.5]}, {"patches": [0, 1, 4, 5]}])
def test_chosen_tokens_are_edited_in_place_of_a_share(tokens: dict, tiny: Callable, text: Callable, rows: list) -> None:
    batch = text([rows[0]])
    model = attach(tiny("llama"), MoresSettings(layers=[0], tokens=TokenChoice(**tokens)), seed=0)
    left = batch.forward(model, output_hidden_states=True).hidden_states[1]
    plain = batch.forward(tiny("llama"), output_hidden_states=True).hidden_states[1]
    assert (left != plain).any(-1)[0].nonzero().squeeze(1).tolist() == [2, 3, 6, 7]


def test_attended_tokens_are_read_from_the_marks(tiny: Callable, text: Callable, rows: list) -> None:
    batch = text([rows[0]])
    model = attach(tiny("llama"), MoresSettings(tokens=TokenChoice(attended=2)), seed=0)
    with pytest.raises(DataError, match="attended"):
        batch.logits(model)
    attended = torch.arange(22.0).unsqueeze(0)  # the last two visual tokens of 2..17
    told = replace(batch, marks=replace(batch.marks, attended=attended))
    same = attach(tiny("llama"), MoresSettings(tokens=TokenChoice(patches=[14, 15])), seed=0)
    assert torch.equal(told.logits(model), batch.logits(same))


def test_untied_starts_as_tied_and_trains_half_as_many_again(tiny: Callable, text: Callable, rows: list) -> None:
    tied, untied = (attach(tiny("llama"), MoresSettings(rank=2, tied=choice), seed=0) for choice in (True, False))
    assert torch.equal(text(rows).logits(tied), text(rows).logits(untied))
    assert untied.get_nb_trainable_parameters()[0] == 4 * 2 * (3 * 64 + 1)


def test_an_untied_adapter_of_chosen_tokens_comes_back_from_disk(
    tmp_path: Path, tiny: Callable, text: Callable, rows: list, stir: Callable
) -> None:
    settings = MoresSettings(tied=False, tokens=TokenChoice(patches=[0, 3]))
    model = stir(attach(tiny("llama"), settings, seed=0))
    model.save_pretrained(tmp_path)
    assert torch.equal(text(rows).logits(PeftModel.from_pretrained(tiny("llama"), tmp_path)), text(rows).logits(model))


def test_a_bad_choice_of_tokens_is_refused() -> None:
    with pytest.raises(ParamsError, match="MoReSConfig.tokens: .*nothing given; allowed one of box, patches, attended"):
        MoReSConfig(tokens={})
