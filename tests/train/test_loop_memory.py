"""Smaller passes learn the same, and memory that runs out makes them smaller until one conversation does not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from steering.arms import MoresSettings
from steering.train.engine import TorchEngine
from steering.train.memory import MicroBatch, OutOfMemory
from tests.train.looped import BY_METHOD, Killed, checkpoints, history, run, same, weights


@BY_METHOD
@pytest.mark.parametrize("micro_batch", [1, 2])
def test_accumulating_over_smaller_passes_learns_the_same(
    settings: Any, micro_batch: int, make_model: Callable, tmp_path: Path
) -> None:
    settings = settings.model_copy(update={"dropout": 0.0}) if settings.method != "none" else settings
    whole, cut = make_model(settings), make_model(settings)
    run(whole, tmp_path / "whole")
    run(cut, tmp_path / "cut", micro_batch=micro_batch)
    for one, other in zip(history(tmp_path / "whole"), history(tmp_path / "cut"), strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-4)
        assert other["supervised_tokens"] == one["supervised_tokens"]
    assert all(
        torch.allclose(a, b, atol=1e-4) for a, b in zip(weights(whole).values(), weights(cut).values(), strict=True)
    )


class Small(TorchEngine):
    """Has memory for *fits* conversations at once from the fourth step on."""

    fits, steps = 1, 0

    def backward(self, batch: Any, **named: Any) -> Any:
        if self.steps >= 3 and len(batch.input_ids) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().backward(batch, **named)

    def update(self, step: int) -> Any:
        self.steps = step + 1
        return super().update(step)


def test_out_of_memory_halves_the_passes_and_learns_the_same(make_model: Callable, tmp_path: Path) -> None:
    whole, cut = make_model(MoresSettings(rank=2)), make_model(MoresSettings(rank=2))
    run(whole, tmp_path / "whole")
    run(cut, tmp_path / "cut", engine=Small)
    assert MicroBatch(3, tmp_path / "cut" / "micro_batch.json").halvings == [(3, 2), (3, 1)]
    losses = [[line["loss"] for line in history(tmp_path / name)] for name in ("whole", "cut")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_a_run_resumed_behind_a_halving_repeats_it_to_the_bit(make_model: Callable, tmp_path: Path) -> None:
    whole, again = make_model(MoresSettings(rank=2)), make_model(MoresSettings(rank=2))
    run(whole, tmp_path / "whole", engine=Small)
    with pytest.raises(Killed):
        run(make_model(MoresSettings(rank=2)), tmp_path / "killed", engine=Small, dies_at=5)
    assert run(again, tmp_path / "killed") == 3
    assert same(weights(again), weights(whole))
    assert history(tmp_path / "killed") == history(tmp_path / "whole")


def test_memory_that_does_not_suffice_for_one_is_told_with_a_way_out(make_model: Callable, tmp_path: Path) -> None:
    class Never(Small):
        fits = 0

    with pytest.raises(OutOfMemory, match="step 4: out of memory with 1 conversations at once, halved 2 times"):
        run(make_model(), tmp_path, engine=Never)
    assert checkpoints(tmp_path) == ["step-00000003"]


def test_another_fault_of_the_machine_is_not_taken_for_lack_of_memory(make_model: Callable, tmp_path: Path) -> None:
    class Broken(TorchEngine):
        def backward(self, *args: Any, **named: Any) -> Any:
            raise RuntimeError("CUDA error: device-side assert triggered")

    with pytest.raises(RuntimeError, match="device-side assert"):
        run(make_model(), tmp_path, engine=Broken)
    assert not (tmp_path / "micro_batch.json").exists()
