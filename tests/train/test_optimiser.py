"""Two learning rates, warm-up, and a cosine that ends at nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import cos, pi
from typing import Any

import pytest

from steering.arms import LoraSettings, MoresSettings, NoneSettings
from steering.errors import ParamsError
from steering.model.encoders import build_encoder
from steering.train.optimiser import Recipe, build_optimiser, release, set_rates, trainable

RECIPE = Recipe(
    steps=20,
    conversations=4,
    connector_learning_rate=2e-3,
    method_learning_rate=5e-4,
    warmup_ratio=0.2,
    weight_decay=0.1,
)


def rates(optimiser: Any, curve: Callable[[int], float], steps: int) -> list[list[float]]:
    """The learning rates each update is made with, and those left at the end."""
    seen = []
    for step in range(steps + 1):
        method = set_rates(optimiser, curve(step))
        seen.append([group["lr"] for group in optimiser.param_groups])
        assert method == seen[-1][-1]
    return seen


@pytest.mark.parametrize("settings", [LoraSettings(rank=2), MoresSettings()], ids=lambda arm: arm.method)
def test_connector_and_method_have_rates_of_their_own(settings: Any, make_model: Callable) -> None:
    model = make_model(settings)
    optimiser, _ = build_optimiser(model, RECIPE)
    connector, method = optimiser.param_groups
    assert (connector["initial_lr"], method["initial_lr"]) == (2e-3, 5e-4)
    assert {id(p) for p in connector["params"]} == {id(p) for p in model.connector.parameters()}
    own = [p for p in model.language_model.parameters() if p.requires_grad]
    assert own
    assert {id(p) for p in method["params"]} == {id(p) for p in own}


def test_the_control_has_the_connector_alone(make_model: Callable) -> None:
    model = make_model(NoneSettings())
    optimiser, _ = build_optimiser(model, RECIPE)
    assert [group["initial_lr"] for group in optimiser.param_groups] == [2e-3]
    assert set(trainable(model)) == {f"connector.{name}" for name, _ in model.connector.named_parameters()}


def test_frozen_weights_are_not_the_optimisers(make_model: Callable) -> None:
    model = make_model(LoraSettings(rank=2))
    held = {id(p) for group in build_optimiser(model, RECIPE)[0].param_groups for p in group["params"]}
    assert held.isdisjoint(id(p) for p in model.parameters() if not p.requires_grad)


def test_rates_warm_up_then_follow_a_cosine_to_zero(make_model: Callable) -> None:
    seen = rates(*build_optimiser(make_model(LoraSettings(rank=2)), RECIPE), RECIPE.steps)
    warm = [step / 4 for step in range(4)]
    cosine = [(1 + cos(pi * step / 16)) / 2 for step in range(17)]
    expected = [[2e-3 * factor, 5e-4 * factor] for factor in warm + cosine]
    assert seen == [pytest.approx(pair, abs=1e-12) for pair in expected]
    assert seen[-1] == [0, 0]


def test_mrt_s_rates_fall_along_a_line(make_model: Callable) -> None:
    recipe = replace(RECIPE, schedule="linear")
    seen = rates(*build_optimiser(make_model(), recipe), recipe.steps)
    warm, line = [step / 4 for step in range(4)], [1 - step / 16 for step in range(17)]
    assert seen == [[pytest.approx(2e-3 * factor, abs=1e-12)] for factor in warm + line]


def test_without_warm_up_the_first_rate_is_the_peak(make_model: Callable) -> None:
    recipe = Recipe(steps=4, conversations=1, connector_learning_rate=1e-3, method_learning_rate=1e-3, warmup_ratio=0.0)
    assert rates(*build_optimiser(make_model(), recipe), 1)[0] == [1e-3]


def test_the_recipe_reaches_adamw(make_model: Callable) -> None:
    group = build_optimiser(make_model(), RECIPE)[0].param_groups[0]
    assert (group["weight_decay"], group["betas"]) == (0.1, (0.9, 0.999))


def test_a_frozen_connector_leaves_the_method_alone(make_model: Callable) -> None:
    model, recipe = make_model(LoraSettings(rank=2)), replace(RECIPE, freeze_connector=True)
    release(recipe, model)
    optimiser, _ = build_optimiser(model, recipe)
    assert [group["initial_lr"] for group in optimiser.param_groups] == [5e-4]


def test_nothing_to_train_is_refused(make_model: Callable) -> None:
    model = make_model(NoneSettings())
    release(replace(RECIPE, freeze_connector=True), model)
    with pytest.raises(ParamsError, match="nothing is trained"):
        build_optimiser(model, RECIPE)


@pytest.mark.parametrize(("told", "rate"), [(None, 2e-3), (1e-4, 1e-4)])
def test_the_encoder_has_the_connectors_rate_or_its_own(told: float | None, rate: float, make_model: Callable) -> None:
    model = make_model(LoraSettings(rank=2))
    model.vision = build_encoder("efficientnet_lite0", {"image_size": 32})
    recipe = replace(RECIPE, encoder_layers=1, encoder_learning_rate=told)
    release(recipe, model)
    optimiser, _ = build_optimiser(model, recipe)
    assert [group["initial_lr"] for group in optimiser.param_groups] == [rate, 2e-3, 5e-4]
    trained = {id(p) for layer in model.vision.last(1) for p in layer.parameters()}
    assert {id(p) for p in optimiser.param_groups[0]["params"]} == trained


def test_parameters_keep_the_order_of_the_model(make_model: Callable) -> None:
    model = make_model(LoraSettings(rank=2))
    held = [id(p) for group in build_optimiser(model, RECIPE)[0].param_groups for p in group["params"]]
    assert held == [id(p) for p in trainable(model).values()]
