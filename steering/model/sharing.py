"""A second model over the same weights: its own modules, so that a method changes one and not the other."""

from __future__ import annotations

import copy
from itertools import chain
from typing import TypeVar

from torch import nn

Model = TypeVar("Model", bound=nn.Module)


def sharing(model: Model) -> Model:
    """A copy of *model* whose parameters and buffers are those of *model*; it costs no memory worth a word.

    What trains or replaces the weights in place, as full fine-tuning does, changes both.
    """
    shared = {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())}
    return copy.deepcopy(model, shared)  # type: ignore[arg-type]
