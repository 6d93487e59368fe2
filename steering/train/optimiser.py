"""What a recipe trains beside the method; AdamW with a rate for each, warm-up, then MoReS's cosine or MRT's line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Size, nn
from torch.optim import AdamW
from transformers import get_scheduler

from steering.errors import ParamsError
from steering.model.composed import ComposedModel
from steering.model.connectors import Connector
from steering.model.encoders import VisionEncoder

Parameters = dict[str, nn.Parameter]
Curve = Callable[[int], float]
"""The part of its peak that a learning rate has in a step (from 0)."""


@dataclass(frozen=True)
class Recipe:
    """How one run is trained; a step is one optimiser update.

    `conversations` per step share pictures among their questions; learning rates are peaks; `warmup_ratio` and
    the fall behind it (`schedule`) run over `steps`; gradients are clipped to `clip_norm`. The last `encoder_layers` of
    the vision encoder that its features come through are trained, at the connector's rate unless they have their own.
    `group_by_length` draws conversations of like length together, for less padding.
    """

    steps: int
    conversations: int
    connector_learning_rate: float
    method_learning_rate: float
    freeze_connector: bool = False
    encoder_layers: int | Literal["all"] = 0
    encoder_learning_rate: float | None = None
    warmup_ratio: float = 0.03
    schedule: Literal["cosine", "linear"] = "cosine"
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    independent_turns: bool = True
    group_by_length: bool = False


def release(recipe: Recipe, model: ComposedModel) -> None:
    """Make trainable what *recipe* trains beside the method: the connector, and the encoder's last layers.

    To be called once the method is attached, for that freezes all but its own. Raises ParamsError for encoder layers
    of a model without an encoder.
    """
    for module in model.connector.modules():  # an edit may have been put around the connector
        if isinstance(module, Connector):
            _set(module, trained=not recipe.freeze_connector)
    if not recipe.encoder_layers:
        return
    if not isinstance(model.vision, VisionEncoder):
        raise ParamsError(
            [f"recipe.encoder_layers: {recipe.encoder_layers}, but no vision encoder runs here; allowed 0"]
        )
    for layer in model.vision.last(recipe.encoder_layers):
        _set(layer, trained=True)


def _set(module: nn.Module, *, trained: bool) -> None:
    """Editors inside *module* are left alone."""
    for name, parameter in module.named_parameters():
        if "steering_editors" not in name:
            parameter.requires_grad_(trained)


def trainable(model: ComposedModel) -> Parameters:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def shapes(model: ComposedModel) -> dict[str, Size]:
    """Of all that is trainable, as it is in full: ZeRO-3 leaves a parameter empty and keeps its shape apart."""
    return {name: getattr(parameter, "ds_shape", parameter.shape) for name, parameter in trainable(model).items()}


def trained_by_part(model: ComposedModel) -> dict[str, Parameters]:
    """The trainable parameters of encoder, connector and method; an editor is the method's wherever it sits."""
    parts: dict[str, Parameters] = {"encoder": {}, "connector": {}, "method": {}}
    for name, parameter in trainable(model).items():
        parts[_part(name)][name] = parameter
    return parts


def _part(name: str) -> str:
    if "steering_editors" in name:
        return "method"
    return {"vision": "encoder", "connector": "connector"}.get(name.split(".")[0], "method")


def build_optimiser(model: ComposedModel, recipe: Recipe) -> tuple[AdamW, Curve]:
    """AdamW over what is trainable in *model*, each group at its peak rate, and the part of it that a step takes.

    Raises ParamsError where nothing is trainable.
    """
    rates = {
        "encoder": recipe.encoder_learning_rate or recipe.connector_learning_rate,
        "connector": recipe.connector_learning_rate,
        "method": recipe.method_learning_rate,
    }
    parts = trained_by_part(model)
    groups = [{"params": list(own.values()), "lr": rates[part]} for part, own in parts.items() if own]
    if not groups:
        raise ParamsError(["recipe: nothing is trained; allowed a method, encoder_layers or an unfrozen connector"])
    optimiser = AdamW(groups, weight_decay=recipe.weight_decay, betas=(0.9, 0.999))
    warmup = round(recipe.steps * recipe.warmup_ratio)
    schedule = get_scheduler(recipe.schedule, optimiser, warmup, recipe.steps)
    return optimiser, schedule.lr_lambdas[0]


def set_rates(optimiser: AdamW, part: float) -> float:
    """Every group at *part* of its peak; returns the last group's rate, which is the method's where there is one."""
    for group in optimiser.param_groups:
        group["lr"] = group["initial_lr"] * part
    return float(optimiser.param_groups[-1]["lr"])
