"""DINOv2's vision transformer: trained on pictures alone, its class token dropped."""

from __future__ import annotations

from typing import Any

from torch import nn

from steering.model.encoders.encoder import IMAGENET, TransformerEncoder, split_layer


class Dinov2(TransformerEncoder):
    @property
    def layers(self) -> nn.ModuleList:
        return self.model.encoder.layer


def build(config: dict[str, Any]) -> Dinov2:
    from transformers import Dinov2Config, Dinov2Model

    sizes, layer = split_layer(config)
    return Dinov2(Dinov2Model(Dinov2Config(**sizes)), feature_layer=layer, class_tokens=1, statistics=IMAGENET)
