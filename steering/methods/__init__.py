"""The methods by name, and `attach`, which adapts a language model by an arm's settings.

A new method is one file with an `attach(language_model, settings, *, seed)`, one settings class in steering.arms
and one line in METHODS.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from steering.arms import Settings
from steering.errors import ParamsError, nearest
from steering.methods import lora, mores, none
from steering.methods.mores import MoReSConfig, MoReSModel, SteeredLayer

METHODS: dict[str, Callable[..., nn.Module]] = {
    "none": none.attach,
    "lora": lora.attach,
    "mores": mores.attach,
}


def attach(language_model: nn.Module, settings: Settings, *, seed: int) -> nn.Module:
    """*language_model* adapted in place by the method of *settings*; only the method's own parameters are trainable.

    The starting values follow from *seed* alone. Raises ParamsError for a method that METHODS lacks.
    """
    method: str = settings.method  # type: ignore[attr-defined]
    if method not in METHODS:
        raise ParamsError([f"method: {method} is unknown; allowed {', '.join(METHODS)}{nearest(method, METHODS)}"])
    return METHODS[method](language_model, settings, seed=seed)


__all__ = ["METHODS", "MoReSConfig", "MoReSModel", "SteeredLayer", "attach"]
