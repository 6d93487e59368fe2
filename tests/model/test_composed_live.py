"""Every encoder with every connector: pictures run live as their features would, and what is trained gets gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from steering.data.collate import Batch, Sample, collate
from steering.data.templates import Turn
from steering.errors import DataError, ParamsError
from steering.evaluate.generate import answer
from steering.model.composed import ComposedModel
from steering.model.connectors import CONNECTORS, build_connector, load_connector, save_connector
from steering.model.encoders import ENCODERS, VisionEncoder
from steering.model.marks import Marks, board_of
from steering.train.optimiser import Recipe, build_optimiser, release, trained_by_part

SETTINGS = {
    "resampler": {"queries": 3, "layers": 1, "heads": 2},
    "qformer": {"queries": 2, "layers": 1, "heads": 2, "hidden": 8},
}
OPENING = (1, 2, 3)
TURNS = (Turn((10, 11, 12), (13, 14, 9)), Turn((20, 21), (22, 9)))
RECIPE = Recipe(steps=4, conversations=1, connector_learning_rate=1e-2, method_learning_rate=1e-3)


def composed(encoder: VisionEncoder, language_model: Any, kind: str = "mlp2_gelu") -> ComposedModel:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        connector = build_connector(kind, width=encoder.width, hidden=32, scale=0.2, settings=SETTINGS.get(kind))
    return ComposedModel(connector, language_model, encoder)


@pytest.fixture
def made(make_encoder: Callable, make_language_model: Callable) -> Callable[..., ComposedModel]:
    def make(encoder: str = "clip", connector: str = "mlp2_gelu") -> ComposedModel:
        width = 32 if connector == "identity" else 16
        wide = {} if encoder in ("side_by_side", "efficientnet_lite0") else {"hidden_size": width}
        eye = make_encoder(encoder, **wide)
        if connector == "identity" and eye.width != 32:
            pytest.skip("as wide as it is")
        return composed(eye, make_language_model(), connector)

    return make


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 24, 3), dtype=np.uint8))


def samples(model: ComposedModel, *, live: bool) -> list[Sample]:
    """Two pictured samples with one of text alone between them."""
    pixels = [model.vision.preprocess(picture(seed)) for seed in (0, 1)]
    tokens = model.connector.tokens(model.vision.tokens)
    if live:
        seen: list[dict[str, Any]] = [{"pixels": one} for one in pixels]
    else:
        seen = [{"features": model.vision(one.unsqueeze(0))[0]} for one in pixels]
    first, last = ({**one, "visual_tokens": tokens} for one in seen)
    return [Sample(OPENING, TURNS, **first), Sample(OPENING, TURNS[:1]), Sample(OPENING, TURNS[1:], **last)]


@pytest.mark.parametrize("connector", CONNECTORS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_pair_learns_answers_and_is_loaded_again(encoder: str, connector: str, made: Callable, tmp_path) -> None:
    model = made(encoder, connector)
    live, cached = (collate(samples(model, live=live)) for live in (True, False))
    loss, tokens = model(live)
    assert tokens == 10
    assert torch.allclose(loss, model(cached)[0], atol=1e-6)
    if connector != "identity":
        loss.backward()
        assert all(p.grad is not None for p in model.connector.parameters())
    assert all(p.grad is None for part in (model.vision, model.language_model) for p in part.parameters())
    said = answer(model, live, max_new_tokens=3, closing=263)
    assert [len(row) for row in said] == [2, 1, 1]
    assert said == answer(model, cached, max_new_tokens=3, closing=263)
    save_connector(model.connector, tmp_path / "connector.safetensors")
    other = made(encoder, connector)
    load_connector(other.connector, tmp_path / "connector.safetensors")
    assert torch.equal(other(live)[0], loss)


@pytest.mark.parametrize("connector", ["resampler", "qformer"])
def test_queries_take_their_places_among_the_words(connector: str, made: Callable) -> None:
    model = made(connector=connector)
    batch = collate(samples(model, live=True))
    queries = SETTINGS[connector]["queries"]
    assert batch.marks.visual.sum(1).tolist() == [queries, 0, queries]
    spliced = model.splice(batch)
    assert torch.equal(spliced[batch.marks.visual], model.visual(batch).flatten(0, 1))


def test_places_for_another_number_of_tokens_are_refused(made: Callable) -> None:
    model = made(connector="resampler")
    batch = collate([replace(one, visual_tokens=2) for one in samples(model, live=True)])
    with pytest.raises(DataError, match="2 pictures of 3 visual tokens; the batch has 4 places"):
        model(batch)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_sample_may_hold_any_number_of_pictures(count: int, made: Callable) -> None:
    model = made(connector="resampler")
    length = 2 + 3 * count + 3
    roles = torch.tensor([0] * 2 + [number for number in range(1, count + 1) for _ in range(3)] + [0] * 3)
    text = (roles == 0).unsqueeze(0)
    answered = text & (torch.arange(length) >= length - 2)
    batch = Batch(
        input_ids=torch.arange(length).unsqueeze(0),
        position_ids=torch.arange(length).unsqueeze(0),
        visible=torch.ones(1, 1, length, length, dtype=torch.bool).tril(),
        features=None,
        marks=Marks(picture=roles[None], prompt=text & ~answered, answer=answered, block=torch.zeros_like(roles)[None]),
        pixels=torch.stack([model.vision.preprocess(picture(seed)) for seed in range(count)]) if count else None,
    )
    spliced = model.splice(batch)
    for number in range(count):
        alone = model.connector(model.vision(batch.pixels[number : number + 1]))[0]
        assert torch.allclose(spliced[0][roles == number + 1], alone, atol=1e-5)
    assert model(batch)[0].isfinite()


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("count", [0, 1, "all"])
def test_gradients_reach_the_encoder_layers_that_are_trained_and_no_other(
    encoder: str, count: Any, made: Callable
) -> None:
    model = made(encoder)
    release(replace(RECIPE, encoder_layers=count), model)
    model.train()
    model(collate(samples(model, live=True)))[0].backward()
    chosen = {id(p) for layer in model.vision.last(count) for p in layer.parameters()} if count else set()
    for name, parameter in model.vision.named_parameters():
        assert parameter.requires_grad == (id(parameter) in chosen)
        assert (parameter.grad is not None) == (id(parameter) in chosen) or "mask_token" in name
    assert {part for part, own in trained_by_part(model).items() if own} == {"connector"} | (
        {"encoder"} if count else set()
    )


def test_a_step_moves_the_trained_layer_alone(made: Callable) -> None:
    model = made()
    release(replace(RECIPE, encoder_layers=1, freeze_connector=True, warmup_ratio=0.0), model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimiser, _ = build_optimiser(model, RECIPE)
    model(collate(samples(model, live=True)))[0].backward()
    optimiser.step()
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved
    assert all(name.startswith("vision.model.encoder.layers.1.") for name in moved)


def test_encoder_layers_need_an_encoder(make_model: Callable) -> None:
    with pytest.raises(ParamsError, match="encoder_layers: 2, but no vision encoder runs here"):
        release(replace(RECIPE, encoder_layers=2), make_model())


class Delegating(nn.Module):
    """What a method may put around a connector."""

    def __init__(self, base: nn.Module):
        super().__init__()
        self.base = base
        self.steering_editors = nn.ModuleDict({"default": nn.Linear(32, 32)})

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("base"), name)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.steering_editors["default"](self.base(features))


def test_an_editor_around_the_connector_is_the_methods(made: Callable) -> None:
    model = made()
    bare = model.connector
    model.connector = Delegating(bare).requires_grad_(False)
    model.connector.steering_editors.requires_grad_(True)
    release(RECIPE, model)
    parts = trained_by_part(model)
    assert {id(p) for p in parts["connector"].values()} == {id(p) for p in bare.parameters()}
    assert {id(p) for p in parts["method"].values()} == {id(p) for p in model.connector.steering_editors.parameters()}
    release(replace(RECIPE, freeze_connector=True), model)
    parts = trained_by_part(model)
    assert (len(parts["connector"]), len(parts["method"])) == (0, 2)
    assert model(collate(samples(model, live=True)))[0].isfinite()


def test_the_board_and_config_are_the_language_models(made: Callable) -> None:
    model = made()
    assert model.config is model.language_model.config
    assert board_of(model) is model.board is board_of(model.language_model)


def test_mixed_runs_float32_weights_in_the_dtype_of_the_base(
    make_encoder: Callable, make_language_model: Callable
) -> None:
    base = make_language_model().to(torch.bfloat16)
    model = composed(make_encoder("clip"), base)
    batch = collate(samples(model, live=True))
    expected = model(batch)[0]
    assert model.dtype == torch.bfloat16
    base.float()
    model.mixed = True
    seen: list[torch.dtype] = []
    base.model.layers[0].mlp.register_forward_hook(lambda _module, _inputs, output: seen.append(output.dtype))
    for attention in ("sdpa", "eager"):
        base.set_attn_implementation(attention)
        assert torch.allclose(model(batch)[0], expected, rtol=2e-2)
        assert len(answer(model, batch, max_new_tokens=3, closing=263)) == 3
    assert set(seen) == {torch.bfloat16}
