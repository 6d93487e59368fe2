"""Where a method goes in a composed model: onto the language model, or, for MRT, onto the composed model itself."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from steering.model.composed import ComposedModel

ON_THE_WHOLE = frozenset({"mrt"})
"""Methods that also edit what comes before the language model."""
WEIGHTS = frozenset({"full", "lora", "adapter", "oft", "ia3"})
"""Methods that put float32 weights onto, or in place of, those of the base model."""


def place(model: ComposedModel, method: str, put: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """What *put* makes of the part of *model* that *method* adapts, with *model* changed to run with it.

    Sets `model.mixed`: whether float32 weights of the method meet a base model of another dtype.
    """
    dtype = model.language_model.get_input_embeddings().weight.dtype
    if method in ON_THE_WHOLE:
        adapted = put(model)
    else:
        adapted = model.language_model = put(model.language_model)
    exact = any(parameter.dtype == torch.float32 for parameter in adapted.parameters())
    model.mixed = method in WEIGHTS and dtype != torch.float32 and exact
    return adapted
