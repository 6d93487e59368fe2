"""Tiny vision encoders of every kind, for tests of encoders, connectors and whole models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from steering.model.encoders import VisionEncoder, build_encoder

BLOCKS: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "clip": BLOCKS | {"intermediate_size": 24},
    "siglip": BLOCKS | {"intermediate_size": 24},
    "dinov2": BLOCKS | {"mlp_ratio": 2},
    "efficientnet_lite0": {"image_size": 64},
    "side_by_side": {},
}
PARTS = [
    {"kind": "clip", "config": CONFIGS["clip"]},
    {"kind": "dinov2", "config": CONFIGS["dinov2"] | {"image_size": 48, "patch_size": 12}},
]


def make_encoder(kind: str, *, seed: int = 0, **config: Any) -> VisionEncoder:
    """The same frozen random encoder for the same *seed*; *config* goes over the tiny one."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        parts = PARTS if kind == "side_by_side" else []
        return build_encoder(kind, CONFIGS[kind] | config, parts=parts)


@pytest.fixture(scope="session", name="make_encoder")
def make_encoder_fixture() -> Callable[..., VisionEncoder]:
    return make_encoder


@pytest.fixture(scope="session")
def configs() -> dict[str, dict[str, Any]]:
    return CONFIGS


@pytest.fixture(scope="session")
def parts_side_by_side() -> list[dict[str, Any]]:
    return PARTS
