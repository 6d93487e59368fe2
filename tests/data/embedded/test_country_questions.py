"""Country questions have one right choice, wrong ones of the same kind, and the right one at every place alike."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from steering.data.embedded.country_questions import SUBJECTS, Teller, arrange
from steering.data.embedded.facts import Country

REGIONS = ("Africa", "Asia", "Europe")
LANGUAGES = ("English", "French", "Arabic", "German", "Hindi")


def country(k: int) -> Country:
    borders = tuple(f"C{other}" for other in (k - 3, k + 3) if 0 <= other < 30)
    return Country(f"{k:02d}", f"C{k}", f"Land{k}", f"Town{k}", REGIONS[k % 3], (LANGUAGES[k % 5],), borders, k)


KNOWN = [country(k) for k in range(30)]
ASKED = KNOWN[:18]
BY_NAME = {known.name: known for known in KNOWN}


def items(subject: str):
    return Teller(ASKED, KNOWN, random.Random(0)).items(subject)


def about(item) -> Country:
    return BY_NAME[next(word.strip("?") for word in item.question.split() if word.startswith("Land"))]


def is_right(subject: str, asked: Country, choice: str) -> bool:
    return {
        "capital": choice == asked.capital,
        "region": choice == asked.region,
        "language": choice in asked.languages,
        "neighbour": choice in BY_NAME and BY_NAME[choice].alpha3 in asked.borders,
    }[subject]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_exactly_one_choice_is_right(subject):
    for item in items(subject):
        assert len(set(item.choices)) == 4
        assert [k for k, choice in enumerate(item.choices) if is_right(subject, about(item), choice)] == [item.answer]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_right_choice_stands_at_every_place_alike(subject):
    places = Counter(item.answer for item in items(subject))
    assert max(places.values()) - min(places.values()) <= 1


def test_wrong_capitals_are_of_the_asked_split_and_region():
    capitals = {asked.capital: asked for asked in ASKED}
    for item in items("capital"):
        assert {capitals[choice].region for choice in item.choices} == {about(item).region}


def test_a_country_without_neighbours_is_not_asked_for_one():
    island = Country("XX", "XXX", "Land99", "Town99", "Asia", ("English",), (), 1)
    assert Teller([island], [*KNOWN, island], random.Random(0)).items("neighbour") == []


def test_too_few_wrong_choices_give_no_question():
    assert Teller(ASKED[:3], KNOWN, random.Random(0)).items("capital") == []


def test_arranging_keeps_every_choice():
    (item,) = arrange([("q?", "right", ["a", "b", "c"])], "skill", random.Random(1))
    assert sorted(item.choices) == ["a", "b", "c", "right"] and item.choices[item.answer] == "right"
