"""What every vision encoder offers: a picture becomes a grid of visual tokens.

An encoder gives `width` (features per visual token), `tokens` (visual tokens per picture), `preprocess` (a PIL
picture to a (3, s, s) tensor), `forward` ((n, 3, s, s) to (n, v, c)) and `layers`, the blocks whose outputs can be
edited. It is frozen unless a recipe trains its last layers, and stays in evaluation mode in either case, so that
batch statistics and random depth are those of prediction.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from steering.errors import ParamsError

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class VisionEncoder(nn.Module):
    """A frozen encoder.

    channels_first: a block of `layers` gives (n, c, h, w) where True, (n, v, c) where False.
    """

    width: int
    tokens: int
    image_size: int
    channels_first = False
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def layers(self) -> nn.ModuleList:
        """The blocks in their order; replacing one in place puts the new one to work."""
        raise NotImplementedError

    @property
    def published(self) -> nn.Module:
        """The part whose weights are published."""
        raise NotImplementedError

    def preprocess(self, picture: Image.Image) -> Tensor:
        """A square, normalised (3, s, s) float tensor; the picture is resized, not cropped."""
        size = (self.image_size, self.image_size)
        pixels = np.asarray(picture.convert("RGB").resize(size, Image.Resampling.BICUBIC), dtype=np.float32) / 255
        normalised = (pixels - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)  # (s, s, 3)
        return torch.from_numpy(normalised).permute(2, 0, 1)

    def last(self, count: int | Literal["all"]) -> Iterable[nn.Module]:
        """The last *count* blocks that the features come through, and what stands behind them; "all": everything."""
        raise NotImplementedError

    def frozen(self) -> Self:
        return self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """Only editors that a method put inside learn to drop out; the encoder itself stays as in prediction."""
        super().train(False)
        for name, module in self.named_modules():
            if "steering_editors" in name:
                module.train(mode)
        return self


class TransformerEncoder(VisionEncoder):
    """A vision transformer of transformers: the hidden states of `feature_layer`, class token dropped.

    Layers behind the wanted one are not run: an output of -2 leaves the last block out.
    """

    def __init__(
        self,
        model: Any,
        *,
        feature_layer: int = -2,
        class_tokens: int = 0,
        statistics: tuple[tuple[float, ...], tuple[float, ...]],
    ):
        super().__init__()
        config: Any = model.config
        self.model: Any = model
        self.feature_layer = feature_layer
        self.image_size = config.image_size
        self.width = config.hidden_size
        self.tokens = (config.image_size // config.patch_size) ** 2
        self.class_tokens = class_tokens
        self.mean, self.std = statistics
        self.depth = _blocks_run(feature_layer, config.num_hidden_layers)

    @property
    def layers(self) -> nn.ModuleList:
        return self.model.encoder.layers

    @property
    def published(self) -> nn.Module:
        return self.model

    def embed(self, pixels: Tensor) -> Tensor:
        """What the first block reads: (n, v and class tokens, c)."""
        return self.model.embeddings(pixels)

    def forward(self, pixels: Tensor) -> Tensor:
        # The model's own record of hidden states is taken inside each block, where an edit of its output is not yet.
        states = self.embed(pixels.to(self.model.dtype))
        for layer in self.layers[: self.depth]:
            output = layer(states, attention_mask=None)
            states = output[0] if isinstance(output, tuple) else output
        return states[:, self.class_tokens :]  # (n, v, c)

    def last(self, count: int | Literal["all"]) -> Iterable[nn.Module]:
        used = self.layers[: self.depth]
        before = [module for name, module in self.model.named_children() if "embeddings" in name or "pre_" in name]
        return [*before, *used] if count == "all" else used[max(0, len(used) - count) :]


def _blocks_run(feature_layer: int, blocks: int) -> int:
    """How many of the blocks lie before *feature_layer*, of which 0 is what the first block reads."""
    if not -blocks - 1 <= feature_layer <= blocks:
        raise ParamsError([f"vision_encoder.config.feature_layer: {feature_layer}; allowed {-blocks - 1}..{blocks}"])
    return range(blocks + 1)[feature_layer]


def split_layer(config: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """transformers' own keys of *config*, and the feature layer, -2 where none is told."""
    return {key: value for key, value in config.items() if key != "feature_layer"}, config.get("feature_layer", -2)
