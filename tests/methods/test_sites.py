"""The one wrapper and the one tuner: any module, any tokens, and models that nothing else marks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from steering.methods.editor import Editor
from steering.methods.layers import decoder_sites, mark_board
from steering.methods.loreft import LoReFTConfig
from steering.methods.mores import MoReSConfig
from steering.methods.mrt import MRTConfig
from steering.methods.selectors import SuffixSelector
from steering.methods.sight import Sight
from steering.methods.sites import EditedModule, EditTuner, Site, _pattern
from steering.model.marks import board_of


class Doubled(nn.Module):
    """Gives its input and something else, as older decoder layers do."""

    kind = "doubled"

    def forward(self, states: Tensor) -> tuple[Tensor, str]:
        return states.clone(), "something else"


def edited(module: nn.Module, *names: str, width: int = 6, **options: Any) -> EditedModule:
    torch.manual_seed(0)
    wrapper = EditedModule(module)
    sites = [Site("", name, width, 2, **options) for name in names]
    wrapper.add("default", {name: Editor(width, 2) for name in names}, sites)
    return wrapper


def editor(wrapper: EditedModule, name: str = "all") -> Any:
    return wrapper.steering_editors["default"][name]  # type: ignore[index]


def test_all_tokens_of_an_output_are_edited() -> None:
    wrapper, states = edited(nn.Linear(6, 6), "all"), torch.randn(2, 5, 6)
    expected = editor(wrapper)(wrapper.base_layer(states).view(10, 6)).view(2, 5, 6)
    assert torch.equal(wrapper(states), expected)


def test_an_input_is_edited_before_the_module_runs() -> None:
    wrapper, states = edited(nn.Linear(6, 6), "all", placement="input"), torch.randn(2, 5, 6)
    assert torch.equal(wrapper(states), wrapper.base_layer(editor(wrapper)(states.view(10, 6)).view(2, 5, 6)))


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_a_conv_block_is_edited_as_its_flattened_cells_are(memory: torch.memory_format) -> None:
    wrapper = edited(nn.Conv2d(3, 6, 3).to(memory_format=memory), "all", channels_first=True)
    pictures = torch.randn(2, 3, 5, 5).contiguous(memory_format=memory)
    plain = wrapper.base_layer(pictures)  # (2, 6, 3, 3)
    cells = editor(wrapper)(plain.flatten(2).transpose(1, 2).reshape(18, 6)).view(2, 9, 6)
    torch.testing.assert_close(wrapper(pictures).flatten(2).transpose(1, 2), cells)


def test_sites_edit_one_after_the_other() -> None:
    wrapper, states = edited(nn.Identity(), "first", "second"), torch.randn(1, 5, 6)
    expected = editor(wrapper, "second")(editor(wrapper, "first")(states[0]))
    assert torch.equal(wrapper(states)[0], expected)


def test_what_stands_behind_the_states_in_a_tuple_is_kept() -> None:
    wrapper, states = edited(Doubled(), "all"), torch.randn(1, 5, 6)
    output, rest = wrapper(states)
    assert rest == "something else" and torch.equal(output[0], editor(wrapper)(states[0]))
    assert wrapper.kind == "doubled"
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = wrapper.no_such_thing


def test_hooks_of_the_module_see_the_edited_output() -> None:
    layer, seen = nn.Linear(6, 6), []
    layer.register_forward_hook(lambda module, args, output: seen.append(output))
    wrapper, states = edited(layer, "all"), torch.randn(1, 5, 6)
    assert torch.equal(wrapper(states), seen[0])


def test_a_released_module_is_as_it_was() -> None:
    layer = nn.Linear(6, 6)
    edited(layer, "all").release()
    assert not layer._forward_hooks


def test_a_failing_pass_leaves_no_edit_under_way() -> None:
    wrapper = edited(nn.Linear(6, 6), "all")
    with pytest.raises(RuntimeError):
        wrapper(torch.randn(1, 5, 7))
    states = torch.randn(1, 5, 6)
    assert torch.equal(wrapper.base_layer(states), nn.functional.linear(states, *wrapper.base_layer.parameters()))


def test_a_copy_edits_by_its_own_editors() -> None:
    wrapper, states = edited(nn.Linear(6, 6), "all"), torch.randn(1, 5, 6)
    other, before = copy.deepcopy(wrapper), wrapper(states)
    with torch.no_grad():
        editor(other).bias.add_(1)
    assert torch.equal(wrapper(states), before) and not torch.equal(other(states), before)


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
