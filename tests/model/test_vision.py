"""Encoders give a known number of visual tokens of a known width, from the layer that was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from steering.errors import ParamsError
from steering.model.vision import build_encoder, load_encoder

TINY: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}


def pixels(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def states_before_the_last_layer(model: Any, inputs: torch.Tensor, *, clip: bool) -> torch.Tensor:
    hidden = model.embeddings(inputs)
    hidden = model.pre_layrnorm(hidden) if clip else hidden
    for layer in model.encoder.layers[:-1]:
        output = layer(hidden, attention_mask=None)
        hidden = output[0] if isinstance(output, tuple) else output
    return hidden


def test_efficientnet_gives_16_tokens_of_1280_at_128_pixels() -> None:
    encoder = build_encoder("efficientnet_lite0", {"image_size": 128})
    picture = encoder.preprocess(Image.new("RGB", (72, 40), "red"))
    assert (encoder.tokens, encoder.width) == (16, 1280)
    assert encoder(picture.unsqueeze(0)).shape == (1, 16, 1280)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_features_are_those_below_the_last_layer(kind: str) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(kind, TINY)
    features = encoder(pixels())
    model: Any = encoder.model
    expected = states_before_the_last_layer(model, pixels(), clip=kind == "clip")
    stated = model(pixels(), output_hidden_states=True).hidden_states[-2]
    assert torch.equal(stated, expected)
    assert torch.equal(features, expected[:, 1:] if kind == "clip" else expected)
    assert features.shape == (2, encoder.tokens, encoder.width) == (2, 16, 16)


def test_the_class_token_is_dropped_from_clip_alone() -> None:
    clip, siglip = build_encoder("clip", TINY), build_encoder("siglip", TINY)
    assert clip.model(pixels()).last_hidden_state.shape[1] == 17
    assert siglip.model(pixels()).last_hidden_state.shape[1] == 16
    assert clip(pixels()).shape == siglip(pixels()).shape


def test_the_feature_layer_is_a_setting() -> None:
    torch.manual_seed(0)
    encoder = build_encoder("clip", TINY | {"feature_layer": 1})
    states = encoder.model(pixels(), output_hidden_states=True).hidden_states
    assert torch.equal(encoder(pixels()), states[1][:, 1:])


@pytest.mark.parametrize("kind", ["clip", "siglip", "efficientnet_lite0"])
def test_black_and_white_end_where_the_normalisation_puts_them(kind: str) -> None:
    encoder = build_encoder(kind, TINY if kind != "efficientnet_lite0" else {"image_size": 32})
    mean, std = torch.tensor(encoder.mean), torch.tensor(encoder.std)
    for colour, level in (("black", 0.0), ("white", 1.0)):
        picture = encoder.preprocess(Image.new("RGB", (50, 20), colour))
        assert (picture.shape, picture.dtype) == ((3, 32, 32), torch.float32)
        assert torch.allclose(picture.mean((1, 2)), (level - mean) / std, atol=1e-5)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_pictures_of_every_mode_are_taken_in_range(mode: str) -> None:
    encoder = build_encoder("siglip", TINY)
    noise = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    picture = encoder.preprocess(Image.fromarray(noise).convert(mode))
    assert picture.shape == (3, 32, 32)
    assert float(picture.abs().max()) <= 1.0 + 1e-6


def test_red_is_the_first_channel() -> None:
    picture = build_encoder("siglip", TINY).preprocess(Image.new("RGB", (8, 8), (255, 0, 0)))
    assert torch.allclose(picture[:, 0, 0], torch.tensor([1.0, -1.0, -1.0]))


def test_an_encoder_is_frozen_and_in_evaluation_mode() -> None:
    encoder = build_encoder("clip", TINY)
    assert not encoder.training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert not encoder(pixels()).requires_grad


def test_loaded_weights_give_the_same_features(tmp_path) -> None:
    encoder = build_encoder("siglip", TINY)
    save_file(
        {name: tensor.contiguous() for name, tensor in encoder.state_dict().items()}, tmp_path / "model.safetensors"
    )
    assert torch.equal(load_encoder("siglip", TINY, tmp_path)(pixels()), encoder(pixels()))


def test_an_unknown_kind_is_refused_with_those_allowed() -> None:
    with pytest.raises(ParamsError, match="clop is unknown; allowed: efficientnet_lite0, clip, siglip"):
        build_encoder("clop", TINY)
