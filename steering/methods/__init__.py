"""The methods by name; `attach` adapts a language model by an arm's settings, `adapt` one in a composed model.

A new method is one file with an `attach(model, settings, *, seed)`, one settings class in steering.arms and one
line in METHODS.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from steering.arms import Settings
from steering.errors import ParamsError, nearest
from steering.methods import bottleneck, full, ia3, lora, loreft, mores, mrt, none, oft
from steering.methods.bottleneck import AdapterConfig
from steering.methods.loreft import LoReFTConfig
from steering.methods.mores import MoReSConfig
from steering.methods.mrt import MRTConfig
from steering.methods.placing import place
from steering.model.composed import ComposedModel

METHODS: dict[str, Callable[..., nn.Module]] = {
    "none": none.attach,
    "full": full.attach,
    "lora": lora.attach,
    "adapter": bottleneck.attach,
    "oft": oft.attach,
    "ia3": ia3.attach,
    "mores": mores.attach,
    "mrt": mrt.attach,
    "loreft": loreft.attach,
}


def attach(root: nn.Module, settings: Settings, *, seed: int) -> nn.Module:
    """*root* adapted in place by the method of *settings*; only the method's own parameters are trainable.

    root: a causal LM; for MRT also a LLaVA model of transformers or a composed model. The starting values follow
    from *seed* alone. Raises ParamsError for a method that METHODS lacks and for settings that do not fit the model.
    """
    method: str = settings.method  # type: ignore[attr-defined]
    if method not in METHODS:
        raise ParamsError([f"method: {method} is unknown; allowed {', '.join(METHODS)}{nearest(method, METHODS)}"])
    return METHODS[method](root, settings, seed=seed)


def adapt(model: ComposedModel, settings: Settings, *, seed: int) -> nn.Module:
    """The adapted language model, put in its place in *model*; for MRT, which edits all of it, *model* adapted.

    It is what `save_adapter` takes. `model.connector` may be a wrapper afterwards: a caller that saves the connector
    keeps the bare one. `model.mixed` is set where float32 weights are trained over a base model of another dtype.
    """
    method: str = settings.method  # type: ignore[attr-defined]
    return place(model, method, lambda part: attach(part, settings, seed=seed))


__all__ = ["METHODS", "AdapterConfig", "LoReFTConfig", "MRTConfig", "MoReSConfig", "adapt", "attach"]
