"""The control: the language model is frozen and left as it is; the connector alone is trained."""

from __future__ import annotations

from torch import nn

from steering.arms import NoneSettings


def attach(language_model: nn.Module, settings: NoneSettings, *, seed: int) -> nn.Module:
    """*language_model* itself, every parameter frozen."""
    return language_model.requires_grad_(False)
