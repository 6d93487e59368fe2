"""The loop learns, repeats itself bit for bit, and stops at nonsense."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from steering.arms import LoraSettings
from steering.data.collate import Sample
from steering.data.templates import Turn
from steering.metrics_log import read_metrics
from steering.train.feed import Feed
from steering.train.loop import DivergedError
from steering.train.optimiser import trainable
from steering.train.order import Order
from tests.train.looped import BY_METHOD, CLOCKS, RECIPE, checkpoints, conversations, feed, history, run, same, weights


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
