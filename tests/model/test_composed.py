"""LLaVA-form models from the same parts: visual tokens in their places, questions on one picture as if asked alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from transformers import LlavaConfig, LlavaForConditionalGeneration

from steering.data.collate import Batch, Sample, collate
from steering.data.templates import Turn
from steering.model.composed import ComposedModel
from steering.model.connectors import build_connector
from steering.model.encoders import VisionEncoder
from steering.model.language import logits_at
from tests.model.asked import ARMS, OPENING, TURNS


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 24, 3), dtype=np.uint8))


def seen(encoder: VisionEncoder, seed: int) -> Tensor:
    return encoder(encoder.preprocess(picture(seed)).unsqueeze(0))[0]


@pytest.fixture(
    params=[("clip", "phi"), ("siglip", "phi"), ("clip", "llama"), ("siglip", "llama")], ids="-".join, scope="module"
)
def parts(
    request: pytest.FixtureRequest, make_language_model: Callable, make_encoder: Callable
) -> tuple[ComposedModel, VisionEncoder]:
    kind, family = request.param
    encoder = make_encoder(kind)
    torch.manual_seed(1)
    connector = build_connector("mlp2_gelu", width=encoder.width, hidden=32)
    return ComposedModel(connector, make_language_model(family)), encoder


def question_losses(model: ComposedModel, batch: Batch) -> list[Tensor]:
    """Cross-entropy of every supervised token (n,), for each question of the batch's only sample."""
    hidden = model.hidden(batch, use_cache=False).last_hidden_state
    blocks = batch.marks.block[0, 1:] * batch.marks.answer[0, 1:]
    losses = []
    for number in range(1, int(blocks.max()) + 1):
        at = (blocks == number).nonzero().squeeze(1)
        logits = logits_at(model.language_model, hidden[0, at])
        losses.append(functional.cross_entropy(logits, batch.input_ids[0, at + 1], reduction="none"))
    return losses


def three_samples(encoder: VisionEncoder) -> list[Sample]:
    """Two pictured samples of other lengths, and one of text alone between them."""
    return [
        Sample(OPENING, TURNS[:1], seen(encoder, 0)),
        Sample(OPENING, TURNS[:2]),
        Sample(OPENING, TURNS, seen(encoder, 1)),
    ]


@pytest.mark.parametrize("pad_left", [False, True])
def test_visual_tokens_are_spliced_in_their_places(parts: Any, pad_left: bool) -> None:
    model, encoder = parts
    samples = three_samples(encoder)
    batch = collate(samples, pad_left=pad_left)
    spliced, words = model.splice(batch), model.language_model.get_input_embeddings()
    for row, sample in enumerate(samples):
        expected = [words(torch.tensor(sample.opening))]
        expected += [] if sample.features is None else [model.connector(sample.features)]
        expected += [words(torch.tensor(turn.question + turn.answer)) for turn in sample.turns]
        laid = torch.cat(expected)
        first = spliced.shape[1] - len(laid) if pad_left else 0
        assert torch.allclose(spliced[row, first : first + len(laid)], laid, atol=1e-6)


def test_packed_questions_cost_the_token_weighted_mean_of_asking_one_by_one(parts: Any) -> None:
    model, encoder = parts
    samples = three_samples(encoder)
    loss, tokens = model(collate(samples))
    alone = [
        model(collate([Sample(sample.opening, (turn,), sample.features)]))
        for sample in samples
        for turn in sample.turns
    ]
    counts = torch.tensor([count for _, count in alone])
    expected = (torch.stack([one for one, _ in alone]) * counts).sum() / counts.sum()
    assert tokens == int(counts.sum()) == sum(len(turn.answer) for sample in samples for turn in sample.turns)
    assert torch.allclose(loss, expected, atol=1e-5)


def test_packed_questions_give_the_connector_the_gradient_of_asking_one_by_one(parts: Any) -> None:
    model, encoder = parts
    features = seen(encoder, 0)
    packed = torch.autograd.grad(
        model(collate([Sample(OPENING, TURNS, features)]))[0], model.connector.layers[0].weight
    )
    total, tokens = torch.zeros(()), 0
    for turn in TURNS:
        loss, count = model(collate([Sample(OPENING, (turn,), features)]))
        total, tokens = total + loss * count, tokens + count
    alone = torch.autograd.grad(total / tokens, model.connector.layers[0].weight)
    assert torch.allclose(packed[0], alone[0], atol=1e-5)


def test_a_questions_loss_does_not_hang_on_the_others(parts: Any) -> None:
    model, encoder = parts
    features = seen(encoder, 0)
    first = question_losses(model, collate([Sample(OPENING, TURNS, features)]))[1]
    others = (Turn((40, 41, 42, 43), (44, 45, 46, 9)), TURNS[1], Turn((50,), (51, 9)))
    second = question_losses(model, collate([Sample(OPENING, others, features)]))[1]
    alone = question_losses(model, collate([Sample(OPENING, TURNS[1:2], features)]))[0]
    assert torch.allclose(first, second, atol=1e-5)
    assert torch.allclose(first, alone, atol=1e-5)


def test_a_questions_loss_hangs_on_its_picture(parts: Any) -> None:
    model, encoder = parts
    losses = [model(collate([Sample(OPENING, TURNS, seen(encoder, seed))]))[0] for seed in (0, 1)]
    assert not torch.allclose(losses[0], losses[1], atol=1e-4)


@pytest.mark.parametrize("settings", ARMS, ids=lambda arm: arm.method)
@pytest.mark.parametrize("family", ["llama", "phi"])
def test_left_and_right_padding_agree(settings: Any, family: str, make_model: Callable, make_encoder: Callable) -> None:
    model, encoder = make_model(settings, family=family, width=16), make_encoder("clip")
    samples = three_samples(encoder)
    right, left = model(collate(samples)), model(collate(samples, pad_left=True))
    assert right[1] == left[1]
    assert torch.allclose(right[0], left[0], atol=1e-5)


@pytest.mark.parametrize("settings", ARMS, ids=lambda arm: arm.method)
def test_every_method_gives_packed_questions_the_loss_of_asking_alone(
    settings: Any, make_model: Callable, make_encoder: Callable
) -> None:
    model, features = make_model(settings, width=16), seen(make_encoder("siglip"), 0)
    packed = question_losses(model, collate([Sample(OPENING, TURNS, features)]))
    for turn, losses in zip(TURNS, packed, strict=True):
        alone = question_losses(model, collate([Sample(OPENING, (turn,), features)]))[0]
        assert torch.allclose(losses, alone, atol=1e-5)


@pytest.mark.parametrize("settings", ARMS, ids=lambda arm: arm.method)
def test_text_beside_a_pictured_sample_is_as_text_alone(
    settings: Any, make_model: Callable, make_encoder: Callable
) -> None:
    model, encoder = make_model(settings, width=16), make_encoder("clip")
    samples = three_samples(encoder)
    beside, alone = collate(samples), collate([samples[1]])
    length = alone.input_ids.shape[1]
    expected = model.hidden(alone).last_hidden_state[0]
    assert torch.allclose(model.hidden(beside).last_hidden_state[1, :length], expected, atol=1e-5)


def test_the_bare_head_on_supervised_positions_is_full_cross_entropy_with_labels(parts: Any) -> None:
    model, encoder = parts
    batch = collate(three_samples(encoder))
    full = model.language_model(
        inputs_embeds=model.splice(batch),
        attention_mask=model.mask(batch.visible),
        position_ids=batch.position_ids,
        labels=batch.input_ids.masked_fill(~batch.marks.answer, -100),
    )
    assert torch.allclose(model(batch)[0], full.loss, atol=1e-5)


def test_sequential_turns_are_an_ordinary_causal_conversation(parts: Any) -> None:
    model, _ = parts
    batch = collate([Sample(OPENING, TURNS)], independent=False)
    flat = [*OPENING, *(token for turn in TURNS for token in turn.question + turn.answer)]
    labels = [-100] * 3 + [t for turn in TURNS for t in (-100,) * len(turn.question) + turn.answer]
    plain = model.language_model(input_ids=torch.tensor([flat]), labels=torch.tensor([labels]))
    assert batch.input_ids.tolist() == [flat]
    assert torch.allclose(model(batch)[0], plain.loss, atol=1e-5)


def test_sequential_turns_see_those_before_them(parts: Any) -> None:
    model, encoder = parts
    features = seen(encoder, 0)
    sequential = model(collate([Sample(OPENING, TURNS, features)], independent=False))[0]
    independent = model(collate([Sample(OPENING, TURNS, features)]))[0]
    assert not torch.allclose(sequential, independent, atol=1e-4)


def test_one_question_is_the_same_either_way(parts: Any) -> None:
    model, encoder = parts
    sample = Sample(OPENING, TURNS[:1], seen(encoder, 0))
    assert torch.allclose(model(collate([sample]))[0], model(collate([sample], independent=False))[0], atol=1e-6)


def test_the_parts_make_the_llava_of_transformers(make_language_model: Callable, make_encoder: Callable) -> None:
    encoder, language_model, image_token = make_encoder("clip"), make_language_model(), 263
    torch.manual_seed(1)
    connector = build_connector("mlp2_gelu", width=16, hidden=32)
    config = LlavaConfig(
        vision_config=encoder.model.config,
        text_config=language_model.config,
        image_token_index=image_token,
        projector_hidden_act="gelu",
        vision_feature_layer=-2,
    )
    llava: Any = LlavaForConditionalGeneration(config).eval()
    llava.model.vision_tower.load_state_dict(encoder.model.state_dict())
    llava.model.language_model.load_state_dict(language_model.model.state_dict())
    llava.lm_head.load_state_dict(language_model.lm_head.state_dict())
    llava.model.multi_modal_projector.linear_1.load_state_dict(connector.layers[0].state_dict())
    llava.model.multi_modal_projector.linear_2.load_state_dict(connector.layers[2].state_dict())
    turn = TURNS[2]
    ids = [*OPENING, *[image_token] * encoder.tokens, *turn.question, *turn.answer]
    labels = [-100] * (len(ids) - len(turn.answer)) + list(turn.answer)
    theirs = llava(
        input_ids=torch.tensor([ids]),
        pixel_values=encoder.preprocess(picture(0)).unsqueeze(0),
        labels=torch.tensor([labels]),
    )
    ours = ComposedModel(connector, language_model)(collate([Sample(OPENING, (turn,), seen(encoder, 0))]))
    assert torch.allclose(ours[0], theirs.loss, atol=1e-5)
