"""The one tuner: unloading, copies of PEFT, and models that nothing else marks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from steering.methods.edited import EditedModule, Site
from steering.methods.layers import decoder_sites, mark_board
from steering.methods.loreft import LoReFTConfig
from steering.methods.mores import MoReSConfig
from steering.methods.mrt import MRTConfig
from steering.methods.selectors import SuffixSelector
from steering.methods.sight import Sight
from steering.methods.sites import EditTuner, _pattern
from steering.model.marks import board_of


def test_the_pattern_is_of_exactly_these_modules() -> None:
    assert _pattern(["a.layers.0", "a.layers.2", "b", "c.d"]) == r"a\.layers\.(0|2)|(b)|c\.(d)"


EDITS: list[Any] = [
    MoReSConfig(rank=2),
    LoReFTConfig(rank=2, first_tokens=1, last_tokens=2),
    MRTConfig(prefix_tokens=2, suffix_tokens=2),
]
every = pytest.mark.parametrize("config", EDITS, ids=lambda config: config.peft_type.lower())


@every
@pytest.mark.parametrize("beams", [1, 3])
def test_a_stock_llava_generates_the_same_with_and_without_cache(
    config: Any, beams: int, llava: Callable, asked: dict, stir: Callable
) -> None:
    model = stir(get_peft_model(llava(), copy.deepcopy(config)))
    options = {"do_sample": False, "max_new_tokens": 5, "num_beams": beams, "eos_token_id": None}
    cached, uncached = (model.generate(**asked, **options, use_cache=use) for use in (True, False))
    assert cached.shape[1] == asked["input_ids"].shape[1] + 5 and torch.equal(cached, uncached)
    assert board_of(model.get_base_model()).current is None


@every
def test_labels_tell_a_stock_llava_what_the_prompt_is(
    config: Any, llava: Callable, asked: dict, stir: Callable
) -> None:
    model = stir(get_peft_model(llava(), copy.deepcopy(config)))
    answer = torch.tensor([[7, 12], [13, 7]])
    ids = torch.cat([asked["input_ids"], answer], 1)
    whole = asked | {"input_ids": ids, "attention_mask": (ids != 0).long()}
    labels = ids.clone()
    labels[:, :-2] = -100
    present = asked["attention_mask"].bool()
    question = model(**asked).logits[present]
    torch.testing.assert_close(model(**whole, labels=labels).logits[:, :-2][present], question, rtol=1e-4, atol=1e-5)


@every
def test_unloading_takes_every_hook_away(config: Any, llava: Callable, asked: dict) -> None:
    plain = get_peft_model(llava(), copy.deepcopy(config)).unload()
    assert "generate" not in vars(plain) and not plain._forward_pre_hooks and not plain._forward_hooks
    assert not any(isinstance(module, EditedModule) for module in plain.modules())
    assert torch.equal(plain(**asked).logits, llava()(**asked).logits)


def test_a_word_alone_is_edited_once_while_it_is_answered(tiny: Callable, stir: Callable) -> None:
    model = stir(get_peft_model(tiny("llama"), LoReFTConfig(rank=2)))
    options = {"do_sample": False, "max_new_tokens": 4, "eos_token_id": None, "pad_token_id": 0}
    cached, uncached = (
        model.generate(input_ids=torch.tensor([[5]]), use_cache=use, **options) for use in (True, False)
    )
    assert torch.equal(cached, uncached)


def test_other_methods_of_peft_leave_the_wrapper_alone(tiny: Callable) -> None:
    assert not any(isinstance(module, EditedModule) for module in get_peft_model(tiny("llama"), LoraConfig()).modules())


def test_a_new_way_to_edit_says_only_where_and_who(tiny: Callable, text: Callable, rows: list) -> None:
    class LastTokenModel(EditTuner):
        title = "last token"

        def sites(self, config: Any, model: nn.Module) -> list[Site]:
            return decoder_sites(config, model, {"last": (config.rank, Sight(mark_board(model), SuffixSelector(1)))})

    batch, model = text(rows, side="left"), tiny("llama")
    before = batch.logits(model)
    LastTokenModel(model, MoReSConfig(rank=2), "default")
    changed = (batch.logits(model) != before).any(-1)  # (b, t)
    assert changed[:, -1].all() and not changed[:, :-1].any()
