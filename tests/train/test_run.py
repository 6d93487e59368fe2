"""What a run switches on changes nothing of what is learnt, and no work is done for what needs no gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from steering.arms import (
    AdapterSettings,
    FullSettings,
    Ia3Settings,
    LoraSettings,
    LoreftSettings,
    MoresSettings,
    MrtSettings,
    NoneSettings,
    OftSettings,
)
from steering.methods.sites import decoder_layers
from steering.metrics_log import read_metrics
from steering.train.engine import TorchEngine
from steering.train.optimiser import Recipe, release, trainable
from steering.train.run import _switch, _switch_back
from tests.train.toy import go, run_of

ALL: list[Any] = [
    NoneSettings(),
    FullSettings(),
    LoraSettings(rank=2, alpha=4),
    AdapterSettings(bottleneck=4),
    OftSettings(blocks=4),
    Ia3Settings(),
    MoresSettings(rank=2, dropout=0.2),
    MrtSettings(vision_rank=0, connector_rank=0, prefix_rank=1, suffix_rank=1),
    LoreftSettings(rank=2),
]
BY_METHOD = pytest.mark.parametrize("settings", ALL, ids=lambda arm: arm.method)


class Killed(BaseException):
    """Stands in for kill -9."""


@BY_METHOD
def test_every_method_goes_on_after_a_kill_as_if_there_had_been_none(settings: Any, tmp_path: Any) -> None:
    whole, first, second = (run_of(settings, tmp_path / name, every=2) for name in ("whole", "cut", "cut"))
    go(whole, tmp_path / "whole")
    usual = first.feed.at

    def dies(step: int, size: int) -> Any:
        if step == 5:
            raise Killed
        return usual(step, size)

    first.feed.at = dies  # type: ignore[method-assign]
    with pytest.raises(Killed):
        go(first, tmp_path / "cut")
    torch.rand(3)  # a new process stands elsewhere in torch's random numbers
    assert go(second, tmp_path / "cut") == 4
    losses = [[line["loss"] for line in read_metrics(tmp_path / name / "metrics.jsonl")] for name in ("whole", "cut")]
    assert losses[0] == losses[1]
    ends = [trainable(run.engine.model) for run in (whole, second)]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


@BY_METHOD
@pytest.mark.parametrize("how", [{"gradient_checkpointing": True}, {"micro_batch": 2}], ids=str)
def test_a_switch_changes_nothing_but_speed(settings: Any, how: dict, tmp_path: Any) -> None:
    settings = settings.model_copy(update={"dropout": 0.0}) if hasattr(settings, "dropout") else settings
    plain = run_of(settings, tmp_path / "plain")
    other = run_of(settings, tmp_path / "other", micro_batch=how.get("micro_batch", 4))
    _switch(other.engine.model, how)
    for run, name in ((plain, "plain"), (other, "other")):
        go(run, tmp_path / name)
    _switch_back(other.engine.model, how)
    losses = [[line["loss"] for line in read_metrics(tmp_path / n / "metrics.jsonl")] for n in ("plain", "other")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_compiled_layers_learn_the_same(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.Module, "compile", compile_without_a_compiler)
    settings = MoresSettings(rank=2)
    plain, compiled = run_of(settings, tmp_path / "plain"), run_of(settings, tmp_path / "compiled")
    _switch(compiled.engine.model, {"compile": True})
    layers = decoder_layers(compiled.engine.model.language_model)
    assert all(layer._compiled_call_impl is not None for layer in layers)
    for run, name in ((plain, "plain"), (compiled, "compiled")):
        go(run, tmp_path / name)
    losses = [[line["loss"] for line in read_metrics(tmp_path / n / "metrics.jsonl")] for n in ("plain", "compiled")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def compile_without_a_compiler(self: Any, **options: Any) -> None:
    """As nn.Module.compile, with the backend that stops short of generating code."""
    self._compiled_call_impl = torch.compile(self._call_impl, backend="aot_eager", **options)


@pytest.mark.parametrize(("layers", "first"), [("all", 0), ("deep", 2), ([3], 3)], ids=str)
def test_below_the_first_edit_of_a_frozen_connector_nothing_is_differentiated(
    layers: Any, first: int, make_language_model: Callable, make_model: Callable
) -> None:
    from steering.methods import attach
    from steering.model.composed import ComposedModel

    base = make_language_model(num_hidden_layers=4)
    settings = MoresSettings(rank=1, layers=layers)
    model = ComposedModel(make_model().connector, attach(base, settings, seed=0))
    recipe = Recipe(steps=1, conversations=4, connector_learning_rate=1, method_learning_rate=1, freeze_connector=True)
    release(recipe, model)
    found = graph_of_layers(model)
    assert found == [number >= first for number in range(4)]


def graph_of_layers(model: Any) -> list[bool]:
    """Whether each decoder layer's output is part of the graph that the backward pass walks."""
    from steering.data.collate import collate
    from tests.train.toy import conversations

    seen: list[bool] = []
    for layer in decoder_layers(model.language_model):
        layer.register_forward_hook(lambda module, inputs, output: seen.append(hidden(output).requires_grad))
    recipe = Recipe(steps=1, conversations=4, connector_learning_rate=1, method_learning_rate=1)
    TorchEngine(model, recipe).backward(collate(conversations()[:4]), supervised=20, last=True)
    return seen


def hidden(output: Any) -> torch.Tensor:
    tensor: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return tensor
