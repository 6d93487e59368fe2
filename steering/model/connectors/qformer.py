"""qformer: BLIP-2's Q-Former over learnt queries, then one linear map to the words' width.

transformers' own Blip2QFormerModel, in every second layer of which the queries attend to the features. No dropout,
where BLIP-2 has 0.1: a connector is the same in training and prediction.

Shapes: p pictures, v features per picture, c their width, q queries, d hidden size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from steering.errors import ParamsError
from steering.model.connectors.connector import Connector


class QFormer(nn.Module):
    def __init__(self, width: int, hidden: int, *, queries: int, sizes: dict[str, Any]):
        from transformers import Blip2QFormerConfig, Blip2QFormerModel

        super().__init__()
        inner = sizes["hidden_size"]
        config = Blip2QFormerConfig(
            **sizes,
            intermediate_size=4 * inner,
            encoder_hidden_size=width,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
        self.queries = nn.Parameter(0.02 * torch.randn(queries, inner))
        self.model: Any = Blip2QFormerModel(config)
        self.project = nn.Linear(inner, hidden)

    def forward(self, features: Tensor) -> Tensor:
        queries = self.queries.expand(len(features), -1, -1)
        output = self.model(query_embeds=queries, encoder_hidden_states=features).last_hidden_state  # (p, q, inner)
        return self.project(output)  # (p, q, d)


def build(
    width: int,
    model_hidden: int,
    *,
    scale: float,
    queries: int = 32,
    layers: int = 12,
    heads: int = 12,
    hidden: int = 768,
) -> Connector:
    if hidden % heads:
        raise ParamsError([f"connector_settings.heads: {heads}; allowed what divides hidden, {hidden}"])
    sizes = {"hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads}
    return Connector(QFormer(width, model_hidden, queries=queries, sizes=sizes), width=width, queries=queries)
