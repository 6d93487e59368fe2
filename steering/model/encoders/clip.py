"""CLIP's vision transformer, the papers' encoder at 7B and 13B."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from steering.model.encoders.encoder import TransformerEncoder, split_layer

STATISTICS = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


class Clip(TransformerEncoder):
    def embed(self, pixels: Tensor) -> Tensor:
        return self.model.pre_layrnorm(self.model.embeddings(pixels))


def build(config: dict[str, Any]) -> Clip:
    from transformers import CLIPVisionConfig, CLIPVisionModel

    sizes, layer = split_layer(config)
    model = CLIPVisionModel(CLIPVisionConfig(**sizes))
    return Clip(model, feature_layer=layer, class_tokens=1, statistics=STATISTICS)
