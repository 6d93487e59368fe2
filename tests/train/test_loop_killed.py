"""The loop goes on after a kill as if there had been none, wherever the kill struck."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from steering.arms import LoraSettings
from steering.train import checkpoint
from steering.train.engine import TorchEngine
from tests.train.looped import BY_METHOD, RECIPE, Killed, checkpoints, history, run, same, weights


@BY_METHOD
@pytest.mark.parametrize("dies_at", [1, 3, 5], ids="after {} steps".format)
def test_a_killed_run_ends_as_if_it_had_not_been(
    settings: Any, dies_at: int, make_model: Callable, tmp_path: Path
) -> None:
    whole, first, second = (make_model(settings) for _ in range(3))
    assert run(whole, tmp_path / "whole") == 0
    with pytest.raises(Killed):
        run(first, tmp_path / "killed", dies_at=dies_at)
    torch.rand(7)  # a new process stands elsewhere in torch's random numbers
    assert run(second, tmp_path / "killed") == dies_at // 3 * 3
    assert same(weights(second), weights(whole))
    assert history(tmp_path / "killed") == history(tmp_path / "whole")
    assert [line["step"] for line in history(tmp_path / "whole")] == list(range(1, 9))


@BY_METHOD
def test_a_run_killed_while_it_saves_ends_as_if_it_had_not_been(
    settings: Any, make_model: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, again = make_model(settings), make_model(settings)
    run(whole, tmp_path / "whole")

    def killed_at_the_second(folder: Path) -> None:
        if folder.name == ".step-00000006":
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "flush_to_disk", killed_at_the_second)
        with pytest.raises(Killed):
            run(make_model(settings), tmp_path / "killed")
    assert checkpoints(tmp_path / "killed") == [".step-00000006", "step-00000003"]
    assert run(again, tmp_path / "killed") == 3
    assert same(weights(again), weights(whole))
    assert history(tmp_path / "killed") == history(tmp_path / "whole")


def test_a_run_that_dies_again_and_again_still_ends_the_same(make_model: Callable, tmp_path: Path) -> None:
    settings = LoraSettings(rank=2, alpha=4, dropout=0.3)
    whole, last = make_model(settings), make_model(settings)
    run(whole, tmp_path / "whole", every=1)
    for step in (1, 2, 5, 7):
        with pytest.raises(Killed):
            run(make_model(settings), tmp_path / "killed", dies_at=step, every=1)
    assert run(last, tmp_path / "killed", every=1) == 7
    assert same(weights(last), weights(whole))
    assert history(tmp_path / "killed") == history(tmp_path / "whole")


def test_a_finished_run_is_not_trained_again(make_model: Callable, tmp_path: Path) -> None:
    first, second = make_model(), make_model()
    run(first, tmp_path, every=4)
    before = history(tmp_path)
    assert run(second, tmp_path, every=4, dies_at=0) == RECIPE.steps
    assert same(weights(first), weights(second))
    assert history(tmp_path) == before


class Kills(TorchEngine):
    """Dies in the second pass of the fifth step's three."""

    passes = 0

    def backward(self, *args: Any, **named: Any) -> Any:
        self.passes += 1
        if self.passes == 4 * 3 + 2:
            raise Killed
        return super().backward(*args, **named)


@BY_METHOD
def test_a_run_killed_while_it_accumulates_ends_as_if_it_had_not_been(
    settings: Any, make_model: Callable, tmp_path: Path
) -> None:
    whole, again = make_model(settings), make_model(settings)
    run(whole, tmp_path / "whole", micro_batch=1)
    with pytest.raises(Killed):
        run(make_model(settings), tmp_path / "killed", micro_batch=1, engine=Kills)
    assert run(again, tmp_path / "killed", micro_batch=1) == 3
    assert same(weights(again), weights(whole))
    assert history(tmp_path / "killed") == history(tmp_path / "whole")
