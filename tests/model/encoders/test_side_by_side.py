"""Encoders side by side give the features of each, joined along the channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from steering.errors import ParamsError
from steering.model.convert import join_encoders
from steering.model.encoders import build_encoder, load_encoder, save_weights


@pytest.fixture
def picture() -> Image.Image:
    """Smooth, so that two ways of resizing differ little."""
    across = np.linspace(0, 255, 96, dtype=np.uint8)
    return Image.fromarray(np.stack(np.broadcast_arrays(across, across[:, None], np.uint8(99)), axis=-1))


def test_features_are_those_of_the_parts(make_encoder: Callable, picture: Image.Image) -> None:
    encoder = make_encoder("side_by_side")
    assert (encoder.tokens, encoder.width, encoder.image_size) == (16, 32, 48)
    joined = encoder(encoder.preprocess(picture).unsqueeze(0))
    alone = [part(part.preprocess(picture).unsqueeze(0)) for part in encoder.parts]
    small, large = joined.split(16, dim=-1)
    assert torch.allclose(large, alone[1], atol=1e-5)  # the part whose size is the largest sees its own pixels
    assert torch.allclose(small, alone[0], atol=0.05)


def test_a_smaller_part_sees_what_it_would_have_seen_alone(make_encoder: Callable, picture: Image.Image) -> None:
    encoder, seen = make_encoder("side_by_side"), []
    encoder.parts[0].register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    encoder(encoder.preprocess(picture).unsqueeze(0))
    expected = encoder.parts[0].preprocess(picture)
    assert seen[0].shape == (1, 3, 32, 32)
    assert float((seen[0][0] - expected).abs().max()) < 0.05


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_parts_are_refused(count: int, parts_side_by_side: list) -> None:
    with pytest.raises(ParamsError, match="allowed two or more parts"):
        build_encoder("side_by_side", {}, parts=parts_side_by_side[:count])


def test_parts_of_unequal_token_counts_are_refused(configs: dict) -> None:
    finer = {"kind": "siglip", "config": configs["siglip"] | {"patch_size": 4}}
    with pytest.raises(ParamsError, match=r"\[16, 64\] visual tokens"):
        build_encoder("side_by_side", {}, parts=[{"kind": "clip", "config": configs["clip"]}, finer])


def test_joined_from_the_folders_of_its_parts(parts_side_by_side: list, tmp_path) -> None:
    folders, alone = [], []
    for number, part in enumerate(parts_side_by_side):
        torch.manual_seed(number)
        encoder = build_encoder(part["kind"], part["config"])
        (tmp_path / str(number)).mkdir()
        save_weights(encoder.state_dict(), tmp_path / str(number) / "model.safetensors")
        folders.append(tmp_path / str(number))
        alone.append(encoder)
    row: dict[str, Any] = {"kind": "side_by_side", "config": {}, "parts": parts_side_by_side, "tokens": 16, "width": 32}
    join_encoders(folders, row, tmp_path / "both")
    joined: Any = load_encoder("side_by_side", {}, tmp_path / "both", parts=parts_side_by_side)
    for part, encoder in zip(joined.parts, alone, strict=True):
        assert all(torch.equal(tensor, part.state_dict()[name]) for name, tensor in encoder.state_dict().items())
    with pytest.raises(ParamsError, match="params.yaml says 16, 31"):
        join_encoders(folders, row | {"width": 31}, tmp_path / "both")
