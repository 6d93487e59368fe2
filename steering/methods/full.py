"""Full fine-tuning: every weight of the language model is trained, in float32 whatever the base model's dtype.

PEFT has no such method, so the language model itself is what `attach` gives, with a note of the dtype it came in:
that is what its weights are saved in. Tied embeddings stay one tensor. It starts as the base model, so the seed
decides nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from steering.arms import FullSettings
from steering.errors import SteeringError
from steering.model.language import STORED


def attach(language_model: nn.Module, settings: FullSettings, *, seed: int) -> nn.Module:
    """*language_model* itself in float32, every parameter trainable. SteeringError where its weights are quantised."""
    return train_whole(language_model)


def train_whole(language_model: Any) -> nn.Module:
    if not all(parameter.is_floating_point() for parameter in language_model.parameters()):
        raise SteeringError("full: quantised weights cannot be trained; allowed a base model in float32 or bfloat16")
    mark_whole(language_model)
    return nn.Module.float(language_model).requires_grad_(True)


def mark_whole(language_model: Any) -> None:
    """Notes that the weights of *language_model* are its own now, and the dtype in which they are kept."""
    held = next(language_model.parameters()).dtype
    language_model.whole_dtype = getattr(language_model, STORED, held)


def unmark_whole(language_model: Any) -> None:
    """Forgets that the weights were trained as a whole: they are a base for what comes."""
    language_model.whole_dtype = None


def is_whole(language_model: Any) -> bool:
    """Whether the weights of *language_model* are trained, or loaded, as a whole."""
    return isinstance(getattr(language_model, "whole_dtype", None), torch.dtype)


def whole_tensors(language_model: Any) -> dict[str, Tensor]:
    """Every weight of *language_model* once, tied ones under their first name, in the base model's dtype."""
    dtype = language_model.whole_dtype
    return {name: parameter.detach().to(dtype) for name, parameter in language_model.named_parameters()}
