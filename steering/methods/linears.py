"""Where PEFT finds the linears of the language model: in its decoder layers, never in a vision tower beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import nn

from steering.arms import LanguageShape, Settings, VisionShape
from steering.errors import ParamsError, SteeringError
from steering.families import FAMILIES
from steering.methods.layers import decoder_layers, paths_in, text_config

UNSEEN = VisionShape(tokens=0, width=0)
"""Stands in where settings of a weight method are checked: they do not depend on pictures."""


def shape_of(model: nn.Module) -> LanguageShape:
    """The sizes of the language model in *model*, by its configuration. SteeringError for a family we do not know."""
    try:
        return LanguageShape.of(text_config(model))
    except (AttributeError, ValueError) as error:
        raise SteeringError(f"{type(model).__name__}: {error}; allowed {', '.join(FAMILIES)} models") from error


def checked_shape(model: nn.Module, settings: Settings) -> LanguageShape:
    """shape_of *model*; raises ParamsError where *settings* do not fit it."""
    shape = shape_of(model)
    if faults := settings.faults(shape, UNSEEN):
        raise ParamsError(faults)
    return shape


def pattern_of(model: nn.Module, names: Sequence[str]) -> str:
    """A regular expression for the paths in *model* of the linears *names* of every decoder layer."""
    (path,) = paths_in(model, [decoder_layers(model)])
    return rf"{re.escape(path)}\.\d+\.(?:\w+\.)*(?:{'|'.join(map(re.escape, names))})"
