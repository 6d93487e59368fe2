"""ImageNet's EfficientNet-lite0, a convolutional encoder whose last feature map is read as the grid."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from steering.model.encoders.encoder import VisionEncoder


class EfficientNetLite0(VisionEncoder):
    """1,280 channels at stride 32, one visual token per cell: 4 x 4 (16) at 128 px, 7 x 7 (49) at 224 px."""

    width = 1280
    channels_first = True
    # (x - 127) / 128 on 0..255, the weights' own preprocessing
    mean = (127 / 255,) * 3
    std = (128 / 255,) * 3

    def __init__(self, *, image_size: int = 128):
        from efficientnet_lite_pytorch import EfficientNet

        super().__init__()
        self.image_size = image_size
        self.tokens = (image_size // 32) ** 2
        self.backbone: Any = EfficientNet.from_name("efficientnet-lite0", image_size=image_size)

    @property
    def layers(self) -> nn.ModuleList:
        return self.backbone._blocks

    @property
    def published(self) -> nn.Module:
        return self.backbone

    def forward(self, pixels: Tensor) -> Tensor:
        grid = self.backbone.extract_features(pixels.contiguous(memory_format=torch.channels_last))
        return grid.flatten(2).transpose(1, 2)  # (n, v, c)

    def last(self, count: int | Literal["all"]) -> Iterable[nn.Module]:
        inner, blocks = self.backbone, self.layers
        head = [inner._conv_head, inner._bn1]
        if count == "all":
            return [inner._conv_stem, inner._bn0, *blocks, *head]
        return [*blocks[max(0, len(blocks) - count) :], *head] if count else []


def build(config: dict[str, Any]) -> EfficientNetLite0:
    return EfficientNetLite0(image_size=config["image_size"])
