"""SigLIP's vision transformer, the papers' encoder at 3B; it has no class token."""

from __future__ import annotations

from typing import Any

from steering.model.encoders.encoder import TransformerEncoder, split_layer

STATISTICS = ((0.5,) * 3, (0.5,) * 3)


def build(config: dict[str, Any]) -> TransformerEncoder:
    from transformers import SiglipVisionConfig, SiglipVisionModel

    sizes, layer = split_layer(config)
    model = SiglipVisionModel(SiglipVisionConfig(**sizes, vision_use_head=False))
    return TransformerEncoder(model, feature_layer=layer, statistics=STATISTICS)
