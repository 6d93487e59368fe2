"""linear: one linear map (LLaVA's first connector)."""

from __future__ import annotations

from torch import nn

from steering.model.connectors.connector import Connector


def build(width: int, hidden: int, *, scale: float) -> Connector:
    return Connector(nn.Linear(width, hidden), width=width)
