"""mlp2_norm: mlp2_gelu, then a LayerNorm that starts at the scale of the word embeddings, so that a small language
model reads visual tokens as words from the first step."""

from __future__ import annotations

from torch import nn

from steering.model.connectors.connector import Connector
from steering.model.connectors.mlp2_gelu import mlp2


def build(width: int, hidden: int, *, scale: float) -> Connector:
    layers = mlp2(width, hidden)
    norm = nn.LayerNorm(hidden)
    nn.init.constant_(norm.weight, scale)
    return Connector(nn.Sequential(*layers, norm), width=width)
