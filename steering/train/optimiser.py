"""What a recipe trains beside the method; AdamW with a learning rate for each, warm-up, then the papers' cosine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import get_cosine_schedule_with_warmup

from steering.errors import ParamsError
from steering.model.composed import ComposedModel
from steering.model.connectors import Connector
from steering.model.encoders import VisionEncoder

Parameters = dict[str, nn.Parameter]


@dataclass(frozen=True)
class Recipe:
    """How one run is trained; a step is one optimiser update.

    `conversations` per step share pictures among their questions; learning rates are peaks; `warmup_ratio` and
    the cosine run over `steps`; gradients are clipped to `clip_norm`. The last `encoder_layers` of the vision
    encoder that its features come through are trained, at the connector's rate unless they have their own.
    """

    steps: int
    conversations: int
    connector_learning_rate: float
    method_learning_rate: float
    freeze_connector: bool = False
    encoder_layers: int | Literal["all"] = 0
    encoder_learning_rate: float | None = None
    warmup_ratio: float = 0.03
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    independent_turns: bool = True


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


def build_optimiser(model: ComposedModel, recipe: Recipe) -> tuple[torch.optim.Optimizer, LambdaLR]:
    """AdamW over what is trainable in *model*. Raises ParamsError where nothing is."""
    encoder_rate = recipe.encoder_learning_rate or recipe.connector_learning_rate
    rates = {
        "encoder": encoder_rate,
        "connector": recipe.connector_learning_rate,
        "method": recipe.method_learning_rate,
    }
    parts = trained_by_part(model)
    groups = [{"params": list(own.values()), "lr": rates[part]} for part, own in parts.items() if own]
    if not groups:
        raise ParamsError(["recipe: nothing is trained; allowed a method, encoder_layers or an unfrozen connector"])
    optimiser = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay, betas=(0.9, 0.999))
    warmup = round(recipe.steps * recipe.warmup_ratio)
    return optimiser, get_cosine_schedule_with_warmup(optimiser, warmup, recipe.steps)
