"""resampler: learnt queries attend to the features, so that a picture takes a fixed number of positions.

    q <- q + attention(q; [x, q]);  q <- q + mlp(q)    per layer;  then LayerNorm and one linear map

(Flamingo's Perceiver resampler, without time: queries are keys too.) It works at the features' width, in `layers`
layers of `heads` heads.

Shapes: p pictures, v features per picture, c their width, q queries, d hidden size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from steering.errors import ParamsError
from steering.model.connectors.connector import Connector


class ResamplerLayer(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.features_norm, self.queries_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, bias=False, batch_first=True)
        inner = 4 * width
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, inner, bias=False), nn.GELU(), nn.Linear(inner, width, bias=False)
        )

    def forward(self, queries: Tensor, features: Tensor) -> Tensor:
        asking = self.queries_norm(queries)
        keys = torch.cat([self.features_norm(features), asking], dim=1)  # (p, v + q, c)
        queries = queries + self.attention(asking, keys, keys, need_weights=False)[0]
        return queries + self.mlp(queries)


class Resampler(nn.Module):
    def __init__(self, width: int, hidden: int, *, queries: int, layers: int, heads: int):
        super().__init__()
        self.queries = nn.Parameter(0.02 * torch.randn(queries, width))
        self.layers = nn.ModuleList(ResamplerLayer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, hidden)

    def forward(self, features: Tensor) -> Tensor:
        queries = self.queries.expand(len(features), -1, -1)  # (p, q, c)
        for layer in self.layers:
            queries = layer(queries, features)
        return self.project(self.norm(queries))  # (p, q, d)


def build(width: int, hidden: int, *, scale: float, queries: int = 64, layers: int = 2, heads: int = 8) -> Connector:
    if width % heads:
        raise ParamsError([f"connector_settings.heads: {heads}; allowed what divides the features' width {width}"])
    inner = Resampler(width, hidden, queries=queries, layers=layers, heads=heads)
    return Connector(inner, width=width, queries=queries)
