"""The one wrapper: any module, any tokens, and nothing in the way where nothing is edited."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steering.methods.edited import EditedModule, Site
from steering.methods.editor import Editor
from steering.methods.selectors import SuffixSelector
from steering.methods.sight import Sight
from steering.model.marks import MarkBoard, Marks


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
    before = dict(vars(layer))
    edited(layer, "all").release()
    assert vars(layer) == before and not layer._forward_hooks


def test_a_forward_that_someone_else_put_on_the_module_runs_and_comes_back() -> None:
    layer, states = nn.Linear(6, 6), torch.randn(1, 5, 6)
    doubled = layer.forward = lambda states: 2 * nn.Linear.forward(layer, states)  # type: ignore[method-assign]
    wrapper = edited(layer, "all")
    expected = editor(wrapper)(2 * nn.Linear.forward(layer, states).view(5, 6)).view(1, 5, 6)
    assert torch.equal(wrapper(states), expected)
    wrapper.release()
    assert layer.forward is doubled


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


class Counted(EditedModule):
    passes = 0

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        self.passes += 1
        return super().forward(*args, **kwargs)


def seen(board: MarkBoard) -> Counted:
    """A module whose last prompt token is edited."""
    wrapper = Counted(nn.Identity())
    site = Site("", "last", 6, 2, sight=Sight(board, SuffixSelector(1)))
    wrapper.add("default", {"last": Editor(6, 2)}, [site])
    return wrapper


def marks(prompt: list[int]) -> Marks:
    none = torch.zeros(1, len(prompt), dtype=torch.long)
    return Marks(none, prompt=torch.tensor([prompt]).bool(), answer=none.bool(), block=none)


def test_the_wrapper_steps_aside_where_nobody_is_seen() -> None:
    board, states = MarkBoard(), torch.randn(1, 3, 6)
    wrapper = seen(board)
    assert wrapper(states) is states
    with board.show(marks([0, 0, 0])):
        assert wrapper(states) is states
    assert wrapper.passes == 0
    with board.show(marks([1, 1, 0])):
        assert (wrapper(states) != states).any(-1).tolist() == [[False, True, False]]
    assert wrapper.passes == 1


def test_hooks_of_the_wrapper_run_where_nobody_is_seen() -> None:
    wrapper, states, calls = seen(MarkBoard()), torch.randn(1, 3, 6), []
    wrapper.register_forward_hook(lambda module, args, output: calls.append("after"))
    wrapper.register_forward_pre_hook(lambda module, args: calls.append("before"))
    wrapper(states)
    assert calls == ["before", "after"] and wrapper.passes == 1


def test_an_adapter_that_edits_everything_and_is_deleted_leaves_the_wrapper_to_the_others() -> None:
    board, states = MarkBoard(), torch.randn(1, 3, 6)
    wrapper = seen(board)
    wrapper.add("other", {"all": Editor(6, 2)}, [Site("", "all", 6, 2)])
    wrapper.set_adapter("other")
    assert (wrapper(states) != states).all()
    wrapper.set_adapter("default")
    wrapper.delete_adapter("other")
    wrapper.passes = 0
    assert wrapper(states) is states and wrapper.passes == 0
