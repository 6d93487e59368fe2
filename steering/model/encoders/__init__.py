"""Vision encoders by kind, behind one seam; a new one is one small file and one row here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from steering.errors import CheckpointError, ParamsError, nearest
from steering.model.encoders import clip, dinov2, efficientnet_lite0, side_by_side, siglip
from steering.model.encoders.encoder import VisionEncoder

ENCODERS: dict[str, Callable[[dict[str, Any]], VisionEncoder]] = {
    "efficientnet_lite0": efficientnet_lite0.build,
    "clip": clip.build,
    "siglip": siglip.build,
    "dinov2": dinov2.build,
    "side_by_side": side_by_side.build,
}

Rows = Sequence[Mapping[str, Any]]


def build_encoder(kind: str, config: Mapping[str, Any], *, parts: Rows = ()) -> VisionEncoder:
    """A frozen encoder with fresh weights; *parts* are the rows (kind, config) of encoders side by side.

    Raises ParamsError for an unknown kind, and for parts that do not fit together.
    """
    if kind not in ENCODERS:
        raise ParamsError(
            [f"vision_encoder.kind: {kind} is unknown; allowed: {', '.join(ENCODERS)}{nearest(kind, ENCODERS)}"]
        )
    return ENCODERS[kind]({**config, "parts": parts} if parts else dict(config)).frozen()


def load_encoder(kind: str, config: Mapping[str, Any], folder: Path, *, parts: Rows = ()) -> VisionEncoder:
    """The encoder with the weights of *folder*/model.safetensors."""
    encoder = build_encoder(kind, config, parts=parts)
    encoder.load_state_dict(load_file(folder / "model.safetensors"))
    return encoder.frozen()


def save_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """The tensors of *weights*, some or all of an encoder's, at *path*."""
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, path)


@torch.no_grad()
def overlay(encoder: nn.Module, path: Path) -> None:
    """The trained weights of *path* in place of those *encoder* has. Raises CheckpointError for another's."""
    own, saved = dict(encoder.named_parameters()), load_file(path)
    if strange := [name for name, tensor in saved.items() if name not in own or own[name].shape != tensor.shape]:
        raise CheckpointError(f"{path}: {strange[0]} is none of this encoder's weights, nor {len(strange) - 1} others")
    for name, tensor in saved.items():
        own[name].copy_(tensor)


__all__ = ["ENCODERS", "VisionEncoder", "build_encoder", "load_encoder", "overlay", "save_weights"]
