"""Vision encoders behind one seam: a picture becomes a grid of visual tokens.

An encoder gives `width` (features per visual token), `tokens` (visual tokens per picture), `preprocess`
(a PIL picture to a (3, s, s) tensor) and `forward` ((n, 3, s, s) to (n, v, c)). CLIP and SigLIP are
transformers' own; EfficientNet-lite0 is a convolutional encoder whose last feature map is read as the grid.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from steering.errors import ParamsError


class VisionEncoder(nn.Module):
    """What every vision encoder offers; frozen in every arm."""

    width: int
    tokens: int
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def preprocess(self, picture: Image.Image) -> Tensor:
        """A square, normalised (3, s, s) float tensor; the picture is resized, not cropped."""
        size = (self.image_size, self.image_size)
        pixels = np.asarray(picture.convert("RGB").resize(size, Image.Resampling.BICUBIC), dtype=np.float32) / 255
        normalised = (pixels - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)  # (s, s, 3)
        return torch.from_numpy(normalised).permute(2, 0, 1)

    def frozen(self) -> VisionEncoder:
        return self.requires_grad_(False).eval()


class EfficientNetLite0(VisionEncoder):
    """ImageNet's EfficientNet-lite0: 1,280 channels at stride 32, read as one visual token per cell.

    At 128 px the grid is 4 x 4 (16 visual tokens), at 224 px 7 x 7 (49).
    """

    width = 1280
    # (x - 127) / 128 on 0..255, the weights' own preprocessing
    mean = (127 / 255,) * 3
    std = (128 / 255,) * 3

    def __init__(self, *, image_size: int = 128):
        from efficientnet_lite_pytorch import EfficientNet

        super().__init__()
        self.image_size = image_size
        self.tokens = (image_size // 32) ** 2
        self.backbone = EfficientNet.from_name("efficientnet-lite0", image_size=image_size)

    @torch.no_grad()
    def forward(self, pixels: Tensor) -> Tensor:
        grid = self.backbone.extract_features(pixels.contiguous(memory_format=torch.channels_last))
        return grid.flatten(2).transpose(1, 2)  # (n, v, c)


class TransformerEncoder(VisionEncoder):
    """CLIP or SigLIP from transformers; the hidden states of `feature_layer`, class token dropped."""

    def __init__(self, model: Any, *, feature_layer: int = -2):
        super().__init__()
        config: Any = model.config
        self.model: Any = model
        self.feature_layer = feature_layer
        self.image_size = config.image_size
        self.width = config.hidden_size
        self.tokens = (config.image_size // config.patch_size) ** 2
        clip = config.model_type.startswith("clip")
        self.class_tokens = 1 if clip else 0
        self.mean = (0.48145466, 0.4578275, 0.40821073) if clip else (0.5,) * 3
        self.std = (0.26862954, 0.26130258, 0.27577711) if clip else (0.5,) * 3

    @torch.no_grad()
    def forward(self, pixels: Tensor) -> Tensor:
        states = self.model(pixels.to(self.model.dtype), output_hidden_states=True).hidden_states
        return states[self.feature_layer][:, self.class_tokens :]  # (n, v, c)


def _efficientnet(config: dict[str, Any]) -> VisionEncoder:
    return EfficientNetLite0(image_size=config["image_size"])


def _clip(config: dict[str, Any]) -> VisionEncoder:
    from transformers import CLIPVisionConfig, CLIPVisionModel

    layer = config.get("feature_layer", -2)
    sizes = {key: value for key, value in config.items() if key != "feature_layer"}
    return TransformerEncoder(CLIPVisionModel(CLIPVisionConfig(**sizes)), feature_layer=layer)


def _siglip(config: dict[str, Any]) -> VisionEncoder:
    from transformers import SiglipVisionConfig, SiglipVisionModel

    layer = config.get("feature_layer", -2)
    sizes = {key: value for key, value in config.items() if key != "feature_layer"}
    return TransformerEncoder(
        SiglipVisionModel(SiglipVisionConfig(**sizes, vision_use_head=False)), feature_layer=layer
    )


ENCODERS = {"efficientnet_lite0": _efficientnet, "clip": _clip, "siglip": _siglip}


def build_encoder(kind: str, config: dict[str, Any]) -> VisionEncoder:
    """A frozen encoder with fresh weights. Raises ParamsError for an unknown kind."""
    if kind not in ENCODERS:
        raise ParamsError([f"vision_encoder.kind: {kind} is unknown; allowed: {', '.join(ENCODERS)}"])
    return ENCODERS[kind](config).frozen()


def load_encoder(kind: str, config: dict[str, Any], folder: Path) -> VisionEncoder:
    """The encoder with the weights of *folder*/model.safetensors."""
    encoder = build_encoder(kind, config)
    encoder.load_state_dict(load_file(folder / "model.safetensors"))
    return encoder.frozen()
