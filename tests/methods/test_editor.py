"""The editor: its formula, its rotation, its start and its cost."""

from __future__ import annotations

import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from steering.methods.editor import Editor, orthonormal


def editor(hidden: int = 32, rank: int = 3, **options: float) -> Editor:
    torch.manual_seed(0)
    return Editor(hidden, rank, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("rank", [1, 2, 4, 32])
def test_the_edit_is_the_papers_formula(rank: int) -> None:
    edit, states = editor(rank=rank), torch.randn(5, 32)
    rotation = edit.rotation()
    linear, down = states @ edit.weight.T + edit.bias, states @ rotation
    torch.testing.assert_close(edit(states), states + (linear - down) @ rotation.T, rtol=1e-4, atol=1e-5)


def test_the_component_along_r_becomes_the_linear_map() -> None:
    edit, states = editor(), torch.randn(5, 32)
    rotation = edit.rotation()
    torch.testing.assert_close(edit(states) @ rotation, states @ edit.weight.T + edit.bias, rtol=1e-4, atol=1e-5)
    across = torch.eye(32) - rotation @ rotation.T
    torch.testing.assert_close(edit(states) @ across, states @ across, rtol=1e-4, atol=1e-5)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 8), st.integers(8, 64), st.integers(0, 10**6))
def test_r_stays_orthonormal_wherever_training_takes_the_basis(rank: int, hidden: int, seed: int) -> None:
    basis = 3 * torch.randn(hidden, rank, generator=torch.Generator().manual_seed(seed))
    rotation = orthonormal(basis)
    torch.testing.assert_close(rotation.T @ rotation, torch.eye(rank), rtol=0, atol=1e-5)
    torch.testing.assert_close(rotation @ (rotation.T @ basis), basis, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(orthonormal(rotation), rotation, rtol=0, atol=1e-5)


def test_r_does_not_jump_when_the_basis_moves_a_little() -> None:
    basis = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
    assert (orthonormal(basis + 1e-4) - orthonormal(basis)).abs().max() < 1e-2


@pytest.mark.parametrize("rank", [1, 3])
def test_the_gradient_of_r_is_right(rank: int) -> None:
    basis = torch.randn(6, rank, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert gradcheck(orthonormal, (basis,))


def test_the_start_is_orthonormal_and_like_nn_linear() -> None:
    edit = editor(hidden=2560, rank=2)
    torch.testing.assert_close(edit.basis.T @ edit.basis, torch.eye(2), rtol=0, atol=1e-5)
    bound = 2560**-0.5
    assert edit.weight.abs().max() <= bound and edit.bias.abs().max() <= bound
    assert abs(edit.weight.std().item() - bound / 3**0.5) < 0.05 * bound


def test_the_start_changes_states_by_about_two_percent() -> None:
    edit, states = editor(hidden=2560, rank=1), torch.randn(200, 2560)
    change = ((edit(states) - states).norm(dim=1) / states.norm(dim=1)).mean()
    assert 0.01 < change < 0.03


@pytest.mark.parametrize("rank", [1, 4])
def test_identity_start_changes_nothing_and_can_learn(rank: int) -> None:
    edit, states = editor(rank=rank, identity_start=True), torch.randn(5, 32)
    assert torch.equal(edit(states), states)
    edit(states).square().sum().backward()
    assert edit.weight.grad is not None and edit.weight.grad.abs().max() > 0


def test_the_maths_is_float32_and_the_result_has_the_states_dtype() -> None:
    edit, states = editor(), torch.randn(5, 32).bfloat16()
    exact = edit(states.float())
    assert edit(states).dtype == torch.bfloat16 and torch.equal(edit(states), exact.bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(edit(states.float()), exact)


def test_dropout_falls_on_the_edit_only() -> None:
    edit, states = editor(dropout=0.5).train(), torch.randn(500, 32)
    moved, full = edit(states) - states, edit.eval()(states) - states
    dropped = moved.abs() < 1e-7
    assert 0.4 < dropped.float().mean() < 0.6
    torch.testing.assert_close(moved[~dropped], 2 * full[~dropped], rtol=1e-3, atol=1e-4)


def test_nothing_of_size_d_by_d_is_kept_or_made() -> None:
    hidden = 20_000  # d x d would be 1.6 GB
    edit = editor(hidden=hidden, rank=4)
    assert sum(tensor.numel() for tensor in edit.state_dict().values()) == 4 * (2 * hidden + 1)
    largest = 0

    def note(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal largest
        largest = max(largest, tensor.numel())
        return tensor

    started = time.perf_counter()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        edit(torch.randn(9, hidden)).sum().backward()
    assert largest <= 9 * hidden
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize("rank", [1, 3])
def test_r_is_orthonormal_after_a_thousand_steps_and_in_a_bfloat16_editor(rank: int) -> None:
    edit, states = editor(rank=rank), torch.randn(40, 32)
    optimiser = torch.optim.AdamW(edit.parameters(), lr=1e-2)
    before = edit.rotation().detach().clone()
    for _ in range(1000):
        optimiser.zero_grad()
        (edit(states) - states.roll(1, 1)).square().mean().backward()
        optimiser.step()
    assert (edit.rotation() - before).abs().max() > 0.05
    for cast in (edit, edit.bfloat16()):
        rotation = cast.rotation()
        assert rotation.dtype == torch.float32
        torch.testing.assert_close(rotation.T @ rotation, torch.eye(rank), rtol=0, atol=1e-5)


@pytest.mark.parametrize("identity_start", [True, False])
@pytest.mark.parametrize("rank", [1, 3])
def test_an_untied_editor_starts_as_the_tied_one(rank: int, identity_start: bool) -> None:
    tied, untied = (editor(rank=rank, tied=choice, identity_start=identity_start) for choice in (True, False))
    assert torch.equal(untied.up, tied.rotation()) and torch.equal(untied.down, tied.rotation().T)
    states = torch.randn(5, 32)
    assert torch.equal(untied(states), tied(states))
    assert torch.equal(untied.weight, tied.weight) and torch.equal(untied.bias, tied.bias)


def test_an_untied_editor_is_the_formula_with_two_free_matrices() -> None:
    edit, states = editor(hidden=8, rank=2, tied=False), torch.randn(5, 8)
    with torch.no_grad():
        for parameter in edit.parameters():
            parameter.add_(torch.randn(parameter.shape))
    low = states @ edit.weight.T + edit.bias - states @ edit.down.T
    torch.testing.assert_close(edit(states), states + low @ edit.up.T, rtol=1e-4, atol=1e-5)
    assert sum(parameter.numel() for parameter in edit.parameters()) == 2 * (3 * 8 + 1)
    edit(states).square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in edit.parameters())  # type: ignore[union-attr]
