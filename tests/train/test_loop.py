"""The loop learns, repeats itself bit for bit, goes on after a kill as if there had been none, stops at nonsense."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from steering.arms import LoraSettings, MoresSettings, NoneSettings
from steering.data.collate import Sample
from steering.data.templates import Turn
from steering.metrics_log import MetricsLog, read_metrics
from steering.model.composed import ComposedModel
from steering.train import checkpoint
from steering.train.checkpoint import CheckpointStore
from steering.train.engine import TorchEngine
from steering.train.feed import Feed
from steering.train.loop import DivergedError, Run, fit
from steering.train.memory import MicroBatch, OutOfMemory
from steering.train.optimiser import Recipe, trainable
from steering.train.order import Order

ARMS = [NoneSettings(), LoraSettings(rank=2, alpha=4, dropout=0.3), MoresSettings(rank=2, dropout=0.3)]
BY_METHOD = pytest.mark.parametrize("settings", ARMS, ids=lambda arm: arm.method)
RECIPE = Recipe(steps=8, conversations=3, connector_learning_rate=1e-2, method_learning_rate=1e-2, warmup_ratio=0.25)
RATES = {"tokens_per_second", "samples_per_second", "visual_tokens_per_second"}
SYSTEM = {"system/process_cpu_percent", "system/process_memory_bytes"}
CLOCKS = RATES | SYSTEM | {"time", "seconds", "wait_seconds", "peak_memory_bytes"}
END = 9


class Killed(BaseException):
    """Stands in for kill -9: nothing in the loop may catch it."""


def conversations() -> list[Sample]:
    """Twelve pictures of four kinds; the first answer names the kind, the second is always the same."""
    generator = torch.Generator().manual_seed(0)
    looks = 2 * torch.randn(4, 5, 8, generator=generator)
    return [
        Sample(
            (1, 2),
            (Turn((10, 11), (40 + number % 4, END)), Turn((20,), (50, 51, END))),
            looks[number % 4] + 0.1 * torch.randn(5, 8, generator=generator),
        )
        for number in range(12)
    ]


def feed(samples: list[Sample], *, seed: int = 0, size: int = RECIPE.conversations, dies_at: int | None = None) -> Feed:
    order = Order(len(samples), size, seed=seed)
    blank = replace(conversations()[0], turns=(Turn((10, 11)),))
    made = Feed(order, samples.__getitem__, blank=blank)

    def at(step: int, micro_batch: int) -> Any:
        if step == dies_at:
            raise Killed
        return Feed.at(made, step, micro_batch)

    made.at = at  # type: ignore[method-assign]
    return made


def run(
    model: ComposedModel, folder: Path, *, seed: int = 0, recipe: Recipe = RECIPE, every: int = 3, **options: Any
) -> int:
    work = Run(
        engine=options.get("engine", TorchEngine)(model, recipe),
        feed=options.get("feed") or feed(conversations(), seed=seed, dies_at=options.get("dies_at")),
        micro_batch=MicroBatch(options.get("micro_batch", recipe.conversations), folder / "micro_batch.json"),
        store=CheckpointStore(folder / "checkpoints", every=every),
        steps=recipe.steps,
        seed=seed,
    )
    return fit(work, lambda step: MetricsLog(folder / "metrics.jsonl", resume_step=step))


def weights(model: ComposedModel) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in trainable(model).items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def history(folder: Path) -> list[dict[str, Any]]:
    """The metrics lines without what the clock says."""
    lines = read_metrics(folder / "metrics.jsonl")
    return [{key: value for key, value in line.items() if key not in CLOCKS} for line in lines]


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


@BY_METHOD
def test_the_loss_falls(settings: Any, make_model: Callable, tmp_path: Path) -> None:
    model = make_model(settings)
    run(model, tmp_path, recipe=replace(RECIPE, steps=40))
    losses = [line["loss"] for line in history(tmp_path)]
    assert sum(losses[-4:]) < 0.5 * sum(losses[:4])
    assert not model.training


@BY_METHOD
def test_only_what_is_trainable_changes(settings: Any, make_model: Callable, tmp_path: Path) -> None:
    model = make_model(settings)
    frozen = {name: p.detach().clone() for name, p in model.named_parameters() if not p.requires_grad}
    before = weights(model)
    run(model, tmp_path)
    now = dict(model.named_parameters())
    assert all(torch.equal(tensor, now[name]) for name, tensor in frozen.items())
    moved = [name for name, tensor in weights(model).items() if not torch.equal(tensor, before[name])]
    assert any(name.startswith("connector.") for name in moved)
    assert settings.method == "none" or any(not name.startswith("connector.") for name in moved)


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


@BY_METHOD
def test_the_same_seed_gives_the_same_run(settings: Any, make_model: Callable, tmp_path: Path) -> None:
    models = [make_model(settings) for _ in range(3)]
    for number, (model, seed) in enumerate(zip(models, (0, 0, 1), strict=True)):
        torch.manual_seed(number)
        run(model, tmp_path / str(number), seed=seed)
    assert same(weights(models[0]), weights(models[1]))
    assert history(tmp_path / "0") == history(tmp_path / "1")
    assert not same(weights(models[0]), weights(models[2]))


def test_dropout_is_on_in_training_alone(make_model: Callable, tmp_path: Path) -> None:
    losses = []
    for dropout in (0.0, 0.5):
        model = make_model(LoraSettings(rank=2, alpha=4, dropout=dropout))
        run(model, tmp_path / str(dropout))
        losses.append([line["loss"] for line in history(tmp_path / str(dropout))])
        (batch,) = feed(conversations()).at(0, 3)
        assert model(batch)[0] == model(batch)[0]
    assert losses[0] != losses[1]


def test_a_line_tells_what_a_step_did(make_model: Callable, tmp_path: Path) -> None:
    run(make_model(LoraSettings(rank=2)), tmp_path)
    lines = read_metrics(tmp_path / "metrics.jsonl")
    told = {"step", "loss", "gradient_norm", "learning_rate", "supervised_tokens", "padding"} | CLOCKS
    assert all(line.keys() == told for line in lines)
    assert {line["supervised_tokens"] for line in lines} == {15}
    assert lines[0]["learning_rate"] == 0
    assert max(line["learning_rate"] for line in lines) == 1e-2


def among(clean: Feed, step: int, samples: list[Sample]) -> Feed:
    """*clean*, with *samples* in place of its own in one *step*."""
    other = Feed(Order(len(samples), len(samples), seed=0), samples.__getitem__, blank=clean.blank)
    usual = clean.at
    clean.at = lambda at, size: other.at(0, size) if at == step else usual(at, size)  # type: ignore[method-assign]
    return clean


def spoilt(step: int) -> Feed:
    sample = conversations()[0]
    assert sample.features is not None
    return among(feed(conversations()), step, [replace(sample, features=sample.features * torch.nan)])


@BY_METHOD
def test_a_loss_that_is_no_number_stops_the_run_and_names_the_step(
    settings: Any, make_model: Callable, tmp_path: Path
) -> None:
    model = make_model(settings)
    with pytest.raises(DivergedError, match="step 5: loss is nan") as stopped:
        run(model, tmp_path, feed=spoilt(4), every=2)
    assert stopped.value.exit_code != 0
    assert all(parameter.isfinite().all() for parameter in trainable(model).values())
    assert [line["step"] for line in history(tmp_path)] == [1, 2, 3, 4]
    assert checkpoints(tmp_path) == ["step-00000002", "step-00000004"]


def test_a_gradient_that_is_no_number_stops_the_run(make_model: Callable, tmp_path: Path) -> None:
    model = make_model()
    before = weights(model)
    model.connector.layers[0].weight.register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(DivergedError, match="step 1: gradient_norm is"):
        run(model, tmp_path, every=1)
    assert same(weights(model), before)
    assert not (tmp_path / "checkpoints").exists()


def test_a_step_with_nothing_to_learn_stops_the_run(make_model: Callable, tmp_path: Path) -> None:
    untaught = Sample((1, 2), (Turn((10, 11)),), conversations()[0].features)
    with pytest.raises(DivergedError, match="step 1: no supervised token in 2 conversations"):
        run(make_model(), tmp_path, feed=feed([untaught, untaught], size=2))


def texts() -> list[Sample]:
    return [replace(sample, features=None) for sample in conversations()[:3]]


@BY_METHOD
@pytest.mark.parametrize("at", [0, 3])
def test_a_batch_of_text_alone_breaks_no_run(settings: Any, at: int, make_model: Callable, tmp_path: Path) -> None:
    run(make_model(settings), tmp_path, feed=among(feed(conversations()), at, texts()))
    lines = history(tmp_path)
    assert len(lines) == RECIPE.steps
    assert (lines[at]["gradient_norm"] > 0) == (settings.method == "lora")


@BY_METHOD
def test_text_alone_throughout_leaves_connector_and_steering_alone(
    settings: Any, make_model: Callable, tmp_path: Path
) -> None:
    model = make_model(settings)
    before = weights(model)
    run(model, tmp_path, feed=feed(texts()))
    moved = {name for name, tensor in weights(model).items() if not torch.equal(tensor, before[name])}
    assert not any(name.startswith("connector.") for name in moved)
    assert bool(moved) == (settings.method == "lora")


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
