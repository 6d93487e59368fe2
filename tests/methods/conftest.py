"""The tiny models and batches of tiny_models as fixtures."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tiny_models import ROWS, Text, llava, shown_to_llava, stir, text, tiny
from torch import Tensor, nn


@pytest.fixture(name="tiny")
def tiny_fixture() -> Callable[..., nn.Module]:
    return tiny


@pytest.fixture(name="llava")
def llava_fixture() -> Callable[..., nn.Module]:
    return llava


@pytest.fixture
def asked() -> dict[str, Tensor]:
    return shown_to_llava()


@pytest.fixture(name="text")
def text_fixture() -> Callable[..., Text]:
    return text


@pytest.fixture(name="stir")
def stir_fixture() -> Callable[..., nn.Module]:
    return stir


@pytest.fixture
def rows() -> list[list[int]]:
    return [list(row) for row in ROWS]
