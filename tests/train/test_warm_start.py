"""A connector learns words from grounded captions, without the language model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from steering.model.connectors import Connector, build_connector
from steering.train.warm_start import telling, warm_start

SETTINGS = {"steps": 120, "pictures": 16, "learning_rate": 1e-2}
OBJECTS, PATCHES, WIDTH, HIDDEN, COMMON = 6, 4, 12, 16, 39


def world() -> tuple[Tensor, list[list[int]], Tensor]:
    """Word embeddings, captions and features: each patch shows one of six objects, the caption names them all."""
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(40, HIDDEN, generator=generator)
    looks = torch.randn(OBJECTS, WIDTH, generator=generator)
    shown = torch.randint(OBJECTS, (80, PATCHES), generator=generator)
    noise = 0.05 * torch.randn(80, PATCHES, WIDTH, generator=generator)
    return embeddings, [[COMMON, *objects] for objects in shown.tolist()], looks[shown] + noise


def connector_of(kind: str = "mlp2_gelu") -> Connector:
    torch.manual_seed(1)
    return build_connector(kind, width=WIDTH, hidden=HIDDEN)


def started(connector: Connector, *, seed: int = 0, features: Tensor | None = None, **changes: Any) -> float:
    embeddings, captions, seen = world()
    pictures = seen if features is None else features
    return warm_start(
        connector, embeddings, captions, features=lambda i: pictures[i], settings=SETTINGS | changes, seed=seed
    )


@pytest.mark.parametrize("kind", ["linear", "mlp2_gelu", "mlp2_norm"])
def test_grounded_captions_are_learned(kind: str) -> None:
    assert started(connector_of(kind)) < 0.3


def test_features_that_tell_nothing_gain_nothing() -> None:
    generator = torch.Generator().manual_seed(5)
    error = started(
        connector_of("linear"), features=torch.randn(1, PATCHES, WIDTH, generator=generator).expand(80, -1, -1)
    )
    assert error > 0.5


def test_a_patch_comes_to_lie_nearest_its_own_word() -> None:
    connector = connector_of("linear")
    started(connector, steps=400)
    embeddings, captions, features = world()
    named = torch.tensor([caption[1:] for caption in captions])
    with torch.no_grad():
        visual = connector(features)  # (n, v, d)
    centred = embeddings[:OBJECTS] - embeddings[:OBJECTS].mean(0)
    nearest = ((visual - visual.mean((0, 1))) @ centred.T).argmax(-1)
    assert (nearest == named).float().mean() > 0.9


def test_the_words_are_left_as_they_are() -> None:
    embeddings, captions, features = world()
    before = embeddings.clone()
    warm_start(connector_of(), embeddings, captions, features=lambda i: features[i], settings=SETTINGS, seed=0)
    assert torch.equal(embeddings, before)


def test_equal_seeds_give_equal_connectors() -> None:
    one, two, other = connector_of(), connector_of(), connector_of()
    assert started(one, steps=5) == started(two, steps=5)
    started(other, seed=1, steps=5)
    states = [list(connector.parameters()) for connector in (one, two, other)]
    assert all(torch.equal(a, b) for a, b in zip(states[0], states[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(states[0], states[2], strict=True))


def test_tokens_of_nearly_every_caption_are_left_out() -> None:
    captions = [[7, 8, number] for number in range(100, 120)]
    assert telling(captions) == [[number] for number in range(100, 120)]


def test_tokens_of_most_captions_are_kept() -> None:
    captions = [[7, number] if number % 10 else [8, number] for number in range(100, 120)]
    assert telling(captions) == captions


def test_a_token_counts_once_per_caption() -> None:
    assert telling([[7, 7, 7], [8], [9]]) == [[7, 7, 7], [8], [9]]


def test_a_caption_of_common_tokens_alone_is_kept_whole() -> None:
    captions = [[7, number] for number in range(100, 119)] + [[7]]
    assert telling(captions)[-1] == [7]
    assert telling(captions)[0] == [100]
