"""Samples write a conversation as it is asked: each turn as if alone, or later ones behind those before them."""

from __future__ import annotations

from typing import Any

import pytest

from steering.assemble import Samples
from steering.data.templates import Scribe, template_named

TURNS = [("How?", "So."), ("Why?", "Thus.")]


@pytest.fixture
def scribe(tokenizer: Any) -> Scribe:
    return Scribe(tokenizer, template_named("vicuna"))


def test_independent_turns_each_open_a_conversation(scribe: Scribe) -> None:
    sample = Samples("any", scribe).sample(None, TURNS)
    assert sample.turns == tuple(scribe.turn(*turn, pictured=False) for turn in TURNS)


def test_sequential_turns_stand_behind_each_other(scribe: Scribe) -> None:
    sample = Samples("any", scribe, independent=False).sample(None, TURNS)
    first, second = TURNS
    assert sample.turns == (scribe.turn(*first, pictured=False), scribe.turn(*second, pictured=False, later=True))
    assert sample.turns[0] != scribe.turn(*first, pictured=False, later=True)


def test_text_alone_has_the_opening_of_text(scribe: Scribe) -> None:
    assert Samples("any", scribe).sample(None, TURNS).opening == scribe.text_opening != scribe.opening
