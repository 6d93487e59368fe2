"""mlp2_gelu: two linear maps with a GELU between them, the papers' connector (LLaVA-1.5's mlp2x_gelu)."""

from __future__ import annotations

from torch import nn

from steering.model.connectors.connector import Connector


def mlp2(width: int, hidden: int) -> list[nn.Module]:
    return [nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden)]


def build(width: int, hidden: int, *, scale: float) -> Connector:
    return Connector(nn.Sequential(*mlp2(width, hidden)), width=width)
