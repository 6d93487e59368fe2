"""identity: the features are the visual tokens, for an encoder as wide as the language model; nothing is trained."""

from __future__ import annotations

from torch import Tensor, nn

from steering.errors import ParamsError
from steering.model.connectors.connector import Connector


class Identity(Connector):
    def standardise(self, mean: Tensor, std: Tensor) -> None:
        """Features pass as they are."""


def build(width: int, hidden: int, *, scale: float) -> Connector:
    if width != hidden:
        raise ParamsError([f"connector: identity needs features as wide as the words; found {width}, allowed {hidden}"])
    return Identity(nn.Identity(), width=width)
