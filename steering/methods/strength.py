"""How strongly a trained method acts: a factor s on its own edit, for as long as a block runs.

    h' = h + s R (W h + b - R^T h)    MoReS, MRT, LoReFT: every editor
    y = W x + s (alpha / r) B A x     LoRA
    x' = x + s U tanh(V x)            Adapter: every bottleneck

0 is the frozen base model behind the connector that was trained with the method, by the very operations of PEFT's
disable_adapter; 1 is the method as trained, to the bit; beyond it is extrapolation. Along a straight line in s lies
only what the first edited layer adds: later layers read what earlier ones made of it.

OFT multiplies and IA3 rescales, so half of either is a choice and no fact, and full fine-tuning has put its weights in
the place of the base's: OFT and IA3 are on or off, and full is on. Its strength 0 is another model: the base itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Literal

from peft.helpers import rescale_adapter_scale
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from steering.errors import SteeringError
from steering.methods.bottleneck import BottleneckLinear
from steering.methods.editor import Editor

Reach = Literal["any", "on or off", "on", "nothing"]

REACH: Mapping[str, Reach] = {
    "none": "nothing",
    "full": "on",
    "lora": "any",
    "adapter": "any",
    "oft": "on or off",
    "ia3": "on or off",
    "mores": "any",
    "mrt": "any",
    "loreft": "any",
}
"""What strengths a method has: any from 0 on; 0 and 1; 1 alone; or none, since it edits nothing."""


@contextmanager
def at_strength(model: nn.Module, method: str, strength: float) -> Iterator[None]:
    """*model*, adapted by *method*, acts with *strength* within; afterwards as it did, gradients' wishes included.

    model: a composed model or what `attach` gave. Raises SteeringError for a strength that the method does not have.
    """
    if fault := fault_of(method, strength):
        raise SteeringError(fault)
    with ExitStack() as stack:
        if strength == 0:
            stack.enter_context(_off(model))
        elif strength != 1 and method == "lora":
            stack.enter_context(rescale_adapter_scale(model, strength))
        elif strength != 1:
            stack.enter_context(_scaled(model, strength))
        yield


def fault_of(method: str, strength: float) -> str | None:
    """Why *method* has no such *strength*; None where it has. The control, which edits nothing, has every one."""
    reach = REACH[method]
    if not 0 <= strength < float("inf"):
        return f"strength: {strength}; allowed 0 or more"
    if reach == "on or off" and strength not in (0, 1):
        return f"strength: {strength:g}; allowed 0 or 1, for {method} is on or off"
    if reach == "on" and strength != 1:
        return f"strength: {strength:g}; allowed 1, for {method} has replaced the base model's weights"
    return None


def _off(model: nn.Module) -> AbstractContextManager[None]:
    """Every tuner layer disabled. PEFT's own way back, enable_adapters, would set gradients on a frozen adapter."""
    return _set([one for one in model.modules() if isinstance(one, BaseTunerLayer)], "_disable_adapters", True)


def _scaled(model: nn.Module, strength: float) -> AbstractContextManager[None]:
    return _set([one for one in model.modules() if isinstance(one, Editor | BottleneckLinear)], "strength", strength)


@contextmanager
def _set(modules: Sequence[nn.Module], attribute: str, value: Any) -> Iterator[None]:
    """*attribute* of all *modules* is *value* for a while."""
    before = [getattr(module, attribute) for module in modules]
    try:
        for module in modules:
            setattr(module, attribute, value)
        yield
    finally:
        for module, was in zip(modules, before, strict=True):
            setattr(module, attribute, was)
