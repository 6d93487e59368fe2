"""Passes are halved at most twice, from a known step on, and another process finds that again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from steering.train.memory import MicroBatch, OutOfMemory, is_out_of_memory


def test_a_step_before_a_halving_keeps_its_size(tmp_path: Path) -> None:
    size = MicroBatch(8, tmp_path / "m.json")
    assert size.halve(10) == 4
    assert size.halve(20) == 2
    assert [size.at(step) for step in (0, 9, 10, 19, 20, 99)] == [8, 8, 4, 4, 2, 2]


def test_another_process_finds_the_halvings(tmp_path: Path) -> None:
    MicroBatch(8, tmp_path / "m.json").halve(3)
    again = MicroBatch(8, tmp_path / "m.json")
    assert (again.at(2), again.at(3), again.halvings) == (8, 4, [(3, 4)])


def test_an_odd_number_is_halved_upwards(tmp_path: Path) -> None:
    assert MicroBatch(5, tmp_path / "m.json").halve(0) == 3


def test_a_third_halving_is_refused(tmp_path: Path) -> None:
    size = MicroBatch(16, tmp_path / "m.json")
    size.halve(0), size.halve(0)
    with pytest.raises(OutOfMemory, match="step 8: out of memory with 4 conversations at once, halved 2 times"):
        size.halve(7)


def test_one_conversation_cannot_be_halved(tmp_path: Path) -> None:
    with pytest.raises(OutOfMemory, match="1 conversations at once, halved 0 times; a smaller"):
        MicroBatch(1, tmp_path / "m.json").halve(0)
    assert not (tmp_path / "m.json").exists()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("shapes cannot be multiplied"), False),
        (ValueError("no"), False),
    ],
)
def test_lack_of_memory_is_told_from_other_faults(error: BaseException, told: bool) -> None:
    assert is_out_of_memory(error) == told
