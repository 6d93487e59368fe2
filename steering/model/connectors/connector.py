"""What every connector offers: visual features (c wide) become visual tokens (d wide) among the word embeddings.

A connector keeps the mean and standard deviation of the features it was trained on, so that it is complete in
itself: checkpoint in, same tokens out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Connector(nn.Module):
    """Standardise per channel, then `layers`; float32 throughout, also where the model around it runs in less.

    queries: how many visual tokens come out whatever goes in; None where it is one for each feature.
    Shapes: (p, v, c) features to (p, v or queries, d) visual tokens.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, layers: nn.Module, *, width: int, queries: int | None = None):
        super().__init__()
        self.layers = layers
        self.queries = queries
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))

    def tokens(self, visual_tokens: int) -> int:
        """Positions a picture takes among the words, for an encoder that gives *visual_tokens*."""
        return visual_tokens if self.queries is None else self.queries

    def standardise(self, mean: Tensor, std: Tensor) -> None:
        """Take over the per-channel statistics (c,) of the features this connector will be trained on."""
        self.mean.copy_(mean)
        self.std.copy_(std.clamp_min(1e-6))

    def forward(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            return self.layers((features.float() - self.mean) / self.std)
