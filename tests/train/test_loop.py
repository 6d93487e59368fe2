"""The loop learns, repeats itself bit for bit, goes on after a kill as if there had been none, stops at nonsense."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from steering.arms import LoraSettings, MoresSettings, NoneSettings
from steering.data.collate import Batch, Sample, collate
from steering.data.templates import Turn
from steering.metrics_log import MetricsLog, read_metrics
from steering.model.composed import ComposedModel
from steering.train import checkpoint
from steering.train.checkpoint import CheckpointStore
from steering.train.loop import DivergedError, fit
from steering.train.optimiser import Recipe, trainable
from steering.train.order import Order

ARMS = [NoneSettings(), LoraSettings(rank=2, alpha=4, dropout=0.3), MoresSettings(rank=2, dropout=0.3)]
BY_METHOD = pytest.mark.parametrize("settings", ARMS, ids=lambda arm: arm.method)
RECIPE = Recipe(steps=8, conversations=3, connector_learning_rate=1e-2, method_learning_rate=1e-2, warmup_ratio=0.25)
CLOCKS = {"tokens_per_second", "seconds", "wait_seconds"}
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


def batches(*, seed: int = 0, dies_at: int | None = None) -> Callable[[int], Batch]:
    samples, order = conversations(), Order(12, RECIPE.conversations, seed=seed)

    def batch_at(step: int) -> Batch:
        if step == dies_at:
            raise Killed
        return collate([samples[index] for index in order.batch(step)])

    return batch_at


def run(
    model: ComposedModel, folder: Path, *, seed: int = 0, recipe: Recipe = RECIPE, every: int = 3, **options: Any
) -> int:
    return fit(
        model,
        recipe,
        batch_at=options.get("batch_at") or batches(seed=seed, dies_at=options.get("dies_at")),
        open_log=lambda step: MetricsLog(folder / "metrics.jsonl", resume_step=step),
        store=CheckpointStore(folder / "checkpoints", every=every),
        seed=seed,
    )


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
        assert model(batches()(0))[0] == model(batches()(0))[0]
    assert losses[0] != losses[1]


def test_a_line_tells_what_a_step_did(make_model: Callable, tmp_path: Path) -> None:
    run(make_model(LoraSettings(rank=2)), tmp_path)
    lines = read_metrics(tmp_path / "metrics.jsonl")
    told = {"step", "loss", "gradient_norm", "learning_rate", "supervised_tokens"} | CLOCKS
    assert all(line.keys() == told for line in lines)
    assert {line["supervised_tokens"] for line in lines} == {15}
    assert lines[0]["learning_rate"] == 0
    assert max(line["learning_rate"] for line in lines) == 1e-2


def poisoned(step: int) -> Callable[[int], Batch]:
    clean = batches()

    def batch_at(at: int) -> Batch:
        batch = clean(at)
        return replace(batch, features=batch.features * torch.nan) if at == step else batch

    return batch_at


@BY_METHOD
def test_a_loss_that_is_no_number_stops_the_run_and_names_the_step(
    settings: Any, make_model: Callable, tmp_path: Path
) -> None:
    model = make_model(settings)
    with pytest.raises(DivergedError, match="step 5: loss is nan") as stopped:
        run(model, tmp_path, batch_at=poisoned(4), every=2)
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
    assert checkpoints(tmp_path) == []


def test_a_batch_with_nothing_to_learn_stops_the_run(make_model: Callable, tmp_path: Path) -> None:
    untaught = Sample((1, 2), (Turn((10, 11)),), conversations()[0].features)
    with pytest.raises(DivergedError, match="step 1: loss is nan"):
        run(make_model(), tmp_path, batch_at=lambda step: collate([untaught]))


@BY_METHOD
@pytest.mark.parametrize("at", [0, 3])
def test_a_batch_of_text_alone_breaks_no_run(settings: Any, at: int, make_model: Callable, tmp_path: Path) -> None:
    clean, text = batches(), collate([replace(sample, features=None) for sample in conversations()[:3]])
    run(make_model(settings), tmp_path, batch_at=lambda step: text if step == at else clean(step))
    lines = history(tmp_path)
    assert len(lines) == RECIPE.steps
    assert (lines[at]["gradient_norm"] > 0) == (settings.method == "lora")


@BY_METHOD
def test_text_alone_throughout_leaves_connector_and_steering_alone(
    settings: Any, make_model: Callable, tmp_path: Path
) -> None:
    model, text = make_model(settings), collate([replace(sample, features=None) for sample in conversations()[:3]])
    before = weights(model)
    run(model, tmp_path, batch_at=lambda step: text)
    moved = {name for name, tensor in weights(model).items() if not torch.equal(tensor, before[name])}
    assert not any(name.startswith("connector.") for name in moved)
    assert bool(moved) == (settings.method == "lora")
