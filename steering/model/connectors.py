"""Connectors: visual features (c wide) to word-embedding space (d wide), one visual token each.

A connector keeps the mean and standard deviation of the features it was trained on, so that it is complete in
itself: checkpoint in, same tokens out.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from steering.errors import CheckpointError, ParamsError


class Connector(nn.Module):
    """Standardise per channel, then `layers`; float32 throughout.

    Shapes: (p, v, c) features to (p, v, d) visual tokens.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, layers: nn.Module, *, width: int):
        super().__init__()
        self.layers = layers
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))

    def standardise(self, mean: Tensor, std: Tensor) -> None:
        """Take over the per-channel statistics (c,) of the features this connector will be trained on."""
        self.mean.copy_(mean)
        self.std.copy_(std.clamp_min(1e-6))

    def forward(self, features: Tensor) -> Tensor:
        return self.layers((features.float() - self.mean) / self.std)


def _mlp2(width: int, hidden: int) -> list[nn.Module]:
    return [nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden)]


def _linear(width: int, hidden: int, scale: float) -> nn.Module:
    return nn.Linear(width, hidden)


def _mlp2_gelu(width: int, hidden: int, scale: float) -> nn.Module:
    """The papers' connector (LLaVA-1.5's mlp2x_gelu)."""
    return nn.Sequential(*_mlp2(width, hidden))


def _mlp2_norm(width: int, hidden: int, scale: float) -> nn.Module:
    """mlp2_gelu, then a LayerNorm that starts at the scale of the word embeddings, so that a small language
    model reads visual tokens as words from the first step."""
    norm = nn.LayerNorm(hidden)
    nn.init.constant_(norm.weight, scale)
    return nn.Sequential(*_mlp2(width, hidden), norm)


CONNECTORS = {"linear": _linear, "mlp2_gelu": _mlp2_gelu, "mlp2_norm": _mlp2_norm}


def build_connector(kind: str, *, width: int, hidden: int, scale: float = 1.0) -> Connector:
    """A fresh connector from *width* features to *hidden* wide tokens of about *scale* standard deviation."""
    if kind not in CONNECTORS:
        raise ParamsError([f"connector: {kind} is unknown; allowed: {', '.join(CONNECTORS)}"])
    return Connector(CONNECTORS[kind](width, hidden, scale), width=width)


def save_connector(connector: Connector, path: Path) -> None:
    save_file({name: tensor.contiguous() for name, tensor in connector.state_dict().items()}, path)


def load_connector(connector: Connector, path: Path) -> Connector:
    """Raises CheckpointError when *path* holds another connector."""
    state = load_file(path)
    expected = {name: tuple(tensor.shape) for name, tensor in connector.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if expected != found:
        raise CheckpointError(f"{path}: holds another connector; expected {expected}, found {found}")
    connector.load_state_dict(state)
    return connector
