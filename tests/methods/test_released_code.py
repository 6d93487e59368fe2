"""The six defects of the code that the papers' authors released, each as a fact that holds here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from steering.arms import MoresSettings, MrtSettings
from steering.methods import attach
from steering.methods.adapters import load_adapter, save_adapter
from steering.methods.edited import EditedModule
from steering.methods.editor import Editor
from steering.methods.selectors import SuffixSelector, VisualSelector
from steering.model.marks import board_of


def editors(model: nn.Module) -> list[Editor]:
    return [module for module in model.modules() if isinstance(module, Editor)]


@pytest.mark.parametrize("placement", ["output", "input"])
@pytest.mark.parametrize("reentrant", [True, False])
def test_1_checkpointing_keeps_the_gradient_when_the_board_is_empty_in_backward(
    placement: str, reentrant: bool, tiny: Callable, text: Callable, rows: list
) -> None:
    found = []
    for checkpointed in (False, True):
        model = attach(tiny("phi"), MoresSettings(rank=2, placement=placement), seed=0).train()
        model.enable_input_require_grads()
        if checkpointed:
            model.gradient_checkpointing_enable({"use_reentrant": reentrant})
        loss = text(rows).loss(model)
        assert board_of(model.get_base_model()).current is None
        loss.backward()
        found.append([parameter.grad for editor in editors(model) for parameter in editor.parameters()])
    live = 9 if placement == "output" else 12  # three tensors in each of the layers that are not dead
    assert sum(bool(value.abs().max() > 0) for value in found[1]) == live
    for plain, recomputed in zip(*found, strict=True):
        torch.testing.assert_close(recomputed, plain, rtol=1e-5, atol=1e-8)


def test_1_checkpointed_layers_are_really_recomputed(tiny: Callable, text: Callable, rows: list) -> None:
    model = attach(tiny("phi"), MoresSettings(), seed=0).train()
    model.gradient_checkpointing_enable({"use_reentrant": False})
    calls = []
    for module in model.modules():
        if isinstance(module, EditedModule):
            module.base_layer.mlp.register_forward_pre_hook(lambda *_: calls.append("layer"))
            module.steering_editors["default"]["visual"].register_forward_pre_hook(lambda *_: calls.append("edit"))
    loss = text(rows).loss(model)
    forward = len(calls)
    loss.backward()
    assert forward == 8 and calls[forward:].count("layer") >= 3 and "edit" not in calls[forward:]


def test_2_the_rotation_costs_no_d_by_d_factorisation() -> None:
    torch.manual_seed(0)
    edit, states = Editor(2560, 1), torch.randn(9, 2560)
    edit(states)
    started = time.perf_counter()
    for _ in range(20):
        edit(states)
    assert (time.perf_counter() - started) / 20 < 0.01  # theirs: 0.75 s
    assert all(tensor.numel() <= 2560 for tensor in edit.state_dict().values())


def test_3_the_last_output_edit_is_dead_and_input_placement_has_none(
    tiny: Callable, text: Callable, rows: list
) -> None:
    for placement, dead in (("output", [3]), ("input", [])):
        model = attach(tiny("llama"), MoresSettings(placement=placement), seed=0)
        text(rows).loss(model).backward()
        largest = [max(value.grad.abs().max() for value in edit.parameters()) for edit in editors(model)]
        assert [layer for layer, value in enumerate(largest) if value == 0] == dead


def test_4_every_picture_is_edited_on_its_own_tokens_and_text_is_not(text: Callable, rows: list) -> None:
    for side in ("right", "left"):
        batch = text(rows, side=side)
        width, chosen = batch.ids.shape[1], VisualSelector()(batch.marks)
        assert (batch.ids.flatten()[chosen] == 99).all()
        assert torch.bincount(chosen // width, minlength=3).tolist() == [9, 14, 0]
        ends = (batch.ids == 99) & (torch.roll(batch.ids, -1, 1) != 99)  # the very last visual token of each picture
        assert set(ends.flatten().nonzero().squeeze(1).tolist()) <= set(chosen.tolist())


def test_5_dropout_falls_on_the_edit_and_unselected_positions_stay_exact(
    tiny: Callable, text: Callable, rows: list
) -> None:
    model = attach(tiny("llama"), MoresSettings(dropout=0.5, identity_start=True), seed=0).train()
    assert torch.equal(text(rows).logits(model), text(rows).logits(tiny("llama")))


def test_5_loading_into_a_trained_layer_gives_the_saved_weights(
    tmp_path: Path, tiny: Callable, text: Callable, rows: list, stir: Callable
) -> None:
    saved = stir(attach(tiny("llama"), MoresSettings(rank=2), seed=0))
    save_adapter(saved, tmp_path / "adapter", base_hash="abc")
    trained = stir(attach(tiny("llama"), MoresSettings(rank=2), seed=9), seed=9)
    trained.load_adapter(str(tmp_path / "adapter"), "default")
    assert torch.equal(text(rows).logits(trained), text(rows).logits(saved))


def test_5_only_the_trained_tensors_are_saved(tmp_path: Path, tiny: Callable) -> None:
    model = attach(tiny("llama"), MoresSettings(), seed=0)
    save_adapter(model, tmp_path / "adapter", base_hash="abc")
    trained = sum(parameter.nbytes for parameter in model.parameters() if parameter.requires_grad)
    assert (tmp_path / "adapter" / "adapter_model.safetensors").stat().st_size < trained + 2000
    assert load_adapter(tiny("llama"), tmp_path / "adapter", base_hash="abc")


def with_answer(batch: Any, length: int) -> Any:
    """*batch*, of one row, whose last *length* tokens are the answer."""
    answer = torch.zeros_like(batch.marks.answer)
    answer[:, -length:] = True
    return replace(batch, marks=replace(batch.marks, answer=answer, prompt=batch.marks.prompt & ~answer))


MRT = MrtSettings(vision_rank=0, connector_rank=0, prefix_tokens=2, suffix_tokens=2)


@pytest.mark.parametrize("settings", [MoresSettings(), MRT])
def test_6_answers_do_not_move_the_edited_positions(
    settings: Any, tiny: Callable, text: Callable, rows: list, stir: Callable
) -> None:
    question, trained = text([rows[0][:-2]]), with_answer(text([rows[0]]), 2)
    model = stir(attach(tiny("llama"), settings, seed=0))
    length = question.ids.shape[1]
    torch.testing.assert_close(trained.logits(model)[:, :length], question.logits(model), rtol=1e-4, atol=1e-5)


def test_6_the_suffix_is_the_prompts_in_training_and_evaluation(text: Callable, rows: list) -> None:
    question, trained = text([rows[0][:-2]]), with_answer(text([rows[0]]), 2)
    for selector in (SuffixSelector(1), SuffixSelector(6), VisualSelector()):
        assert torch.equal(selector(question.marks), selector(trained.marks))
    assert SuffixSelector(1)(trained.marks).tolist() == [19]
