"""AdamW with one learning rate for the connector and one for the method, warm-up, then cosine (the papers' recipe)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import get_cosine_schedule_with_warmup

from steering.model.composed import ComposedModel


@dataclass(frozen=True)
class Recipe:
    """How one run is trained; a step is one optimiser update.

    `conversations` per step share pictures among their questions; learning rates are peaks; `warmup_ratio` and
    the cosine run over `steps`; gradients are clipped to `clip_norm`.
    """

    steps: int
    conversations: int
    connector_learning_rate: float
    method_learning_rate: float
    warmup_ratio: float = 0.03
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    independent_turns: bool = True


def trainable(model: ComposedModel) -> dict[str, torch.nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def build_optimiser(model: ComposedModel, recipe: Recipe) -> tuple[torch.optim.Optimizer, LambdaLR]:
    parameters = trainable(model)
    connector = [p for name, p in parameters.items() if name.startswith("connector.")]
    method = [p for name, p in parameters.items() if not name.startswith("connector.")]
    groups = [
        {"params": group, "lr": rate}
        for group, rate in ((connector, recipe.connector_learning_rate), (method, recipe.method_learning_rate))
        if group
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay, betas=(0.9, 0.999))
    warmup = round(recipe.steps * recipe.warmup_ratio)
    return optimiser, get_cosine_schedule_with_warmup(optimiser, warmup, recipe.steps)
