"""The settings of an arm, one class per method, and the number of parameters each trains; free of torch.

An arm of params.yaml is one of these; `method` tells which. The counts are the papers' "TP": the method's own
trainable parameters, the connector left out.
"""

from typing import Annotated

from pydantic import Field

from steering.arms.base import Settings
from steering.arms.edits import PAPER_RATIO, LoreftSettings, MoresSettings, MrtSettings, TokenChoice
from steering.arms.schedules import QUARTERS, STRIDES, Layers, Schedule, depth, layer_faults, steered_layers
from steering.arms.shape import LanguageShape, VisionShape
from steering.arms.weights import (
    AdapterSettings,
    FullSettings,
    Ia3Settings,
    LoraSettings,
    NoneSettings,
    OftSettings,
)

Arm = Annotated[
    NoneSettings
    | FullSettings
    | LoraSettings
    | AdapterSettings
    | OftSettings
    | Ia3Settings
    | MoresSettings
    | MrtSettings
    | LoreftSettings,
    Field(discriminator="method"),
]

__all__ = [
    "PAPER_RATIO",
    "QUARTERS",
    "STRIDES",
    "AdapterSettings",
    "Arm",
    "FullSettings",
    "Ia3Settings",
    "LanguageShape",
    "Layers",
    "LoraSettings",
    "LoreftSettings",
    "MoresSettings",
    "MrtSettings",
    "NoneSettings",
    "OftSettings",
    "Schedule",
    "Settings",
    "TokenChoice",
    "VisionShape",
    "depth",
    "layer_faults",
    "steered_layers",
]
