"""Exact peaks of memory, on a CPU and on a GPU."""

from __future__ import annotations

import pytest
import torch

from benchmarks.measure import peak_bytes

CPU = torch.device("cpu")


def two_at_once() -> None:
    first, second = torch.empty(1000), torch.empty(500)
    del first
    third = torch.empty(700)
    del second, third


def test_the_peak_is_what_was_alive_at_once():
    assert peak_bytes(two_at_once, CPU) == 4 * (1000 + 500)


def test_what_was_alive_before_is_not_in_the_peak():
    before = torch.empty(10_000)
    assert peak_bytes(lambda: before.zero_(), CPU) == 0


def test_what_autograd_keeps_is_in_the_peak():
    weight = torch.ones(1000, requires_grad=True)

    def keep() -> None:
        weight.exp().exp().sum().item()  # each keeps its result for the backward pass

    assert peak_bytes(keep, CPU) == 4 * (2 * 1000 + 1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_the_peak_on_a_gpu_is_the_allocators():
    held = peak_bytes(lambda: torch.empty(1 << 20, device="cuda"), torch.device("cuda"))
    assert held == 4 << 20
