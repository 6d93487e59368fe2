"""Encoders side by side: each reads the picture its own way, and their features are joined along the channels.

The parts must give equally many visual tokens. One picture at the largest part's size goes in, in 0..1; each part
gets it resized (antialiased bicubic) and normalised for itself. A smaller part's pixels therefore differ slightly
from those of its own `preprocess`, which resizes the original once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from steering.errors import ParamsError
from steering.model.encoders.encoder import VisionEncoder


class SideBySide(VisionEncoder):
    mean, std = (0.0,) * 3, (1.0,) * 3

    def __init__(self, parts: Sequence[VisionEncoder]):
        super().__init__()
        counts = [part.tokens for part in parts]
        if len(parts) < 2 or len(set(counts)) > 1:
            raise ParamsError(
                [f"vision_encoder.parts: {counts} visual tokens; allowed two or more parts with equally many"]
            )
        self.parts: Any = nn.ModuleList(parts)
        self.tokens = counts[0]
        self.width = sum(part.width for part in parts)
        self.image_size = max(part.image_size for part in parts)

    @property
    def layers(self) -> nn.ModuleList:
        """None: the parts have no layers in common."""
        return nn.ModuleList()

    def forward(self, pixels: Tensor) -> Tensor:
        seen = [part(_prepared(part, pixels)).float() for part in self.parts]
        return torch.cat(seen, dim=-1)  # (n, v, c)

    def last(self, count: int | Literal["all"]) -> Iterable[nn.Module]:
        return [module for part in self.parts for module in part.last(count)]


def _prepared(part: VisionEncoder, pixels: Tensor) -> Tensor:
    """*pixels* in 0..1 (n, 3, s, s) as *part* wants them."""
    size = (part.image_size, part.image_size)
    if pixels.shape[-2:] != size:
        pixels = functional.interpolate(pixels, size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    mean, std = (pixels.new_tensor(values).view(3, 1, 1) for values in (part.mean, part.std))
    return (pixels - mean) / std


def build(config: dict[str, Any]) -> SideBySide:
    """config["parts"]: the parts' own rows, each with kind and config."""
    from steering.model.encoders import build_encoder

    return SideBySide([build_encoder(part["kind"], part["config"]) for part in config.get("parts", ())])
