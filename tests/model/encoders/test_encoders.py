"""Encoders give a known number of visual tokens of a known width, from the layer that was asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from steering.errors import CheckpointError, ParamsError
from steering.model.encoders import ENCODERS, build_encoder, load_encoder, overlay, save_weights

TRANSFORMERS = ["clip", "siglip", "dinov2"]
WITH_LAYERS = [kind for kind in ENCODERS if kind != "side_by_side"]


def pixels(size: int = 32, count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def states_before_the_last_layer(encoder: Any, inputs: torch.Tensor, *, clip: bool) -> torch.Tensor:
    hidden = encoder.model.embeddings(inputs)
    hidden = encoder.model.pre_layrnorm(hidden) if clip else hidden
    for layer in encoder.layers[:-1]:
        output = layer(hidden, attention_mask=None)
        hidden = output[0] if isinstance(output, tuple) else output
    return hidden


def changed(module: nn.Module) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1)


def test_efficientnet_gives_16_tokens_of_1280_at_128_pixels() -> None:
    encoder = build_encoder("efficientnet_lite0", {"image_size": 128})
    picture = encoder.preprocess(Image.new("RGB", (72, 40), "red"))
    assert (encoder.tokens, encoder.width) == (16, 1280)
    assert encoder(picture.unsqueeze(0)).shape == (1, 16, 1280)


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_features_are_those_below_the_last_layer(kind: str, make_encoder: Callable) -> None:
    encoder = make_encoder(kind)
    features = encoder(pixels())
    expected = states_before_the_last_layer(encoder, pixels(), clip=kind == "clip")
    stated = encoder.model(pixels(), output_hidden_states=True).hidden_states[-2]
    assert torch.equal(stated, expected)
    assert torch.equal(features, expected if kind == "siglip" else expected[:, 1:])
    assert features.shape == (2, encoder.tokens, encoder.width) == (2, 16, 16)


def test_the_class_token_is_dropped_from_all_but_siglip(make_encoder: Callable) -> None:
    encoders = {kind: make_encoder(kind) for kind in TRANSFORMERS}
    whole = {kind: encoder.model(pixels()).last_hidden_state.shape[1] for kind, encoder in encoders.items()}
    assert whole == {"clip": 17, "siglip": 16, "dinov2": 17}
    assert {encoder(pixels()).shape for encoder in encoders.values()} == {(2, 16, 16)}


@pytest.mark.parametrize("kind", TRANSFORMERS)
@pytest.mark.parametrize("layer", [-4, -1, 0, 1, 3])
def test_the_feature_layer_is_a_setting(kind: str, layer: int, make_encoder: Callable) -> None:
    encoder = make_encoder(kind, feature_layer=layer)
    states = encoder.model(pixels(), output_hidden_states=True).hidden_states
    assert torch.equal(encoder(pixels()), states[layer][:, encoder.class_tokens :])


@pytest.mark.parametrize("layer", [4, -5])
def test_a_feature_layer_that_is_not_there_is_refused(layer: int, make_encoder: Callable) -> None:
    with pytest.raises(ParamsError, match=rf"feature_layer: {layer}; allowed -4\.\.3"):
        make_encoder("clip", feature_layer=layer)


@pytest.mark.parametrize("kind", ENCODERS)
def test_black_and_white_end_where_the_normalisation_puts_them(kind: str, make_encoder: Callable) -> None:
    encoder = make_encoder(kind)
    mean, std = torch.tensor(encoder.mean), torch.tensor(encoder.std)
    for colour, level in (("black", 0.0), ("white", 1.0)):
        picture = encoder.preprocess(Image.new("RGB", (50, 20), colour))
        assert (picture.shape, picture.dtype) == ((3, encoder.image_size, encoder.image_size), torch.float32)
        assert torch.allclose(picture.mean((1, 2)), (level - mean) / std, atol=1e-5)


def test_dinov2_reads_pictures_as_imagenet_is_normalised(make_encoder: Callable) -> None:
    encoder = make_encoder("dinov2")
    assert (encoder.mean, encoder.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_pictures_of_every_mode_are_taken_in_range(mode: str, make_encoder: Callable) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    picture = make_encoder("siglip").preprocess(Image.fromarray(noise).convert(mode))
    assert picture.shape == (3, 32, 32)
    assert float(picture.abs().max()) <= 1.0 + 1e-6


def test_red_is_the_first_channel(make_encoder: Callable) -> None:
    picture = make_encoder("siglip").preprocess(Image.new("RGB", (8, 8), (255, 0, 0)))
    assert torch.allclose(picture[:, 0, 0], torch.tensor([1.0, -1.0, -1.0]))


@pytest.mark.parametrize("kind", ENCODERS)
def test_an_encoder_is_frozen_builds_no_graph_and_stays_in_evaluation_mode(kind: str, make_encoder: Callable) -> None:
    encoder = make_encoder(kind)
    before = encoder(pixels(encoder.image_size))
    encoder.train()
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    again = encoder(pixels(encoder.image_size))
    assert not again.requires_grad
    assert torch.equal(again, before)


def test_an_editor_put_inside_follows_training_mode(make_encoder: Callable) -> None:
    encoder = make_encoder("clip")
    encoder.layers[1].steering_editors = nn.ModuleDict({"default": nn.Dropout()})
    encoder.train()
    assert [type(module) for module in encoder.modules() if module.training] == [nn.ModuleDict, nn.Dropout]
    encoder.eval()
    assert not any(module.training for module in encoder.modules())


class Shifted(nn.Module):
    """A block whose output is edited."""

    def __init__(self, block: nn.Module):
        super().__init__()
        self.block = block
        self.shift = nn.Parameter(torch.ones(()))

    def forward(self, *args: Any, **options: Any) -> Any:
        output = self.block(*args, **options)
        return (output[0] + self.shift, *output[1:]) if isinstance(output, tuple) else output + self.shift


@pytest.mark.parametrize("kind", WITH_LAYERS)
def test_an_edit_of_the_last_layer_that_is_read_shows_in_the_features(kind: str, make_encoder: Callable) -> None:
    encoder = make_encoder(kind)
    inputs = pixels(encoder.image_size)
    before = encoder(inputs)
    place = str(len(encoder.layers) - 2)
    setattr(encoder.layers, place, Shifted(encoder.layers[int(place)]))
    after = encoder(inputs)
    assert not torch.allclose(before, after)
    after.sum().backward()
    assert encoder.layers[int(place)].shift.grad is not None


@pytest.mark.parametrize("kind", WITH_LAYERS)
def test_blocks_give_channels_where_the_encoder_says(kind: str, make_encoder: Callable) -> None:
    encoder, seen = make_encoder(kind), []
    encoder.layers[1].register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    encoder(pixels(encoder.image_size))
    state = seen[0][0] if isinstance(seen[0], tuple) else seen[0]
    assert state.ndim == (4 if encoder.channels_first else 3)


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_the_last_layers_are_those_the_features_come_through(kind: str, make_encoder: Callable) -> None:
    encoder = make_encoder(kind)
    assert list(encoder.last(0)) == []
    assert list(encoder.last(1)) == [encoder.layers[1]]
    assert list(encoder.last(9)) == [encoder.layers[0], encoder.layers[1]]


@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize("count", [1, "all"])
def test_what_is_trained_of_an_encoder_gets_gradients(kind: str, count: Any, make_encoder: Callable) -> None:
    encoder = make_encoder(kind)
    chosen = [p for module in encoder.last(count) for p in module.parameters()]
    for parameter in chosen:
        parameter.requires_grad_(True)
    (encoder(pixels(encoder.image_size)) ** 2).sum().backward()
    lacking = [name for name, p in encoder.named_parameters() if p.requires_grad and p.grad is None]
    assert chosen
    assert [name for name in lacking if "mask_token" not in name] == []
    assert all(p.grad is None for p in encoder.parameters() if not p.requires_grad)


@pytest.mark.parametrize("kind", ENCODERS)
def test_loaded_weights_give_the_same_features(
    kind: str, make_encoder: Callable, configs: dict, parts_side_by_side: list, tmp_path
) -> None:
    encoder = make_encoder(kind)
    save_weights(encoder.state_dict(), tmp_path / "model.safetensors")
    parts = parts_side_by_side if kind == "side_by_side" else ()
    loaded = load_encoder(kind, configs[kind], tmp_path, parts=parts)
    inputs = pixels(encoder.image_size)
    assert torch.equal(loaded(inputs), encoder(inputs))


def test_trained_layers_are_laid_over_the_published_weights(make_encoder: Callable, tmp_path) -> None:
    trained, fresh = make_encoder("clip"), make_encoder("clip")
    changed(trained.layers[1])
    weights = {name: p for name, p in trained.named_parameters() if ".layers.1." in name}
    save_weights(weights, tmp_path / "encoder.safetensors")
    overlay(fresh, tmp_path / "encoder.safetensors")
    assert torch.equal(fresh(pixels()), trained(pixels()))
    assert not torch.equal(fresh(pixels()), make_encoder("clip")(pixels()))


def test_trained_layers_of_another_encoder_are_refused(make_encoder: Callable, tmp_path) -> None:
    save_weights(make_encoder("siglip").state_dict(), tmp_path / "encoder.safetensors")
    encoder = make_encoder("dinov2")
    before = encoder(pixels())
    with pytest.raises(CheckpointError, match="none of this encoder's weights"):
        overlay(encoder, tmp_path / "encoder.safetensors")
    assert torch.equal(encoder(pixels()), before)


def test_an_unknown_kind_is_refused_with_those_allowed() -> None:
    allowed = "clop is unknown; allowed: efficientnet_lite0, clip, siglip, dinov2, side_by_side"
    with pytest.raises(ParamsError, match=allowed):
        build_encoder("clop", {})
