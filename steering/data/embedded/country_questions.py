"""Four-way questions about countries: capital, region, language and neighbour, with wrong choices of the same kind.

Wrong capitals come from the asked split, so that a capital learnt in training is never known to be wrong; wrong
languages come as often as they are right elsewhere; wrong neighbours have land borders too. All prefer the region.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from steering.data.embedded.facts import Country

SUBJECTS = ("capital", "region", "language", "neighbour")
REGIONS = ("Africa", "Americas", "Asia", "Europe", "Oceania")
WRONG = 3


@dataclass(frozen=True)
class Item:
    """One question; answer: the place of the right choice; skill: what it asks for."""

    question: str
    choices: tuple[str, ...]
    answer: int
    skill: str


Draft = tuple[str, str, Sequence[str]]  # question, right choice, wrong choices


def arrange(drafts: Sequence[Draft], skill: str, rng: random.Random) -> list[Item]:
    """Items with shuffled wrong choices; the right one stands at each place equally often."""
    places: list[int] = []
    while len(places) < len(drafts):
        places += rng.sample(range(1 + WRONG), 1 + WRONG)
    items: list[Item] = []
    for (question, right, wrong), place in zip(drafts, places, strict=False):
        choices = rng.sample(wrong, len(wrong))
        choices.insert(place, right)
        items.append(Item(question, tuple(choices), place, skill))
    return items


class Teller:
    """Asks about the *asked* countries, knowing the facts of all *known* ones."""

    def __init__(self, asked: Sequence[Country], known: Sequence[Country], rng: random.Random):
        self._asked = asked
        self._known = known
        self._rng = rng

    def items(self, subject: str) -> list[Item]:
        """One item per country that has the fact and three wrong choices; subject: one of SUBJECTS."""
        ask = {
            "capital": self._capital,
            "region": self._region,
            "language": self._language,
            "neighbour": self._neighbour,
        }[subject]
        drafts = [ask(country) for country in self._asked]
        return arrange([draft for draft in drafts if draft and len(draft[2]) == WRONG], subject, self._rng)

    def _capital(self, country: Country) -> Draft:
        near = [other.capital for other in self._others(self._asked, country) if other.region == country.region]
        far = [other.capital for other in self._others(self._asked, country)]
        return f"What is the capital of {country.name}?", country.capital, self._pick((near, far), {country.capital})

    def _region(self, country: Country) -> Draft:
        return (
            f"In which part of the world is {country.name}?",
            country.region,
            self._pick((REGIONS,), {country.region}),
        )

    def _language(self, country: Country) -> Draft:
        near = [other.languages[0] for other in self._others(self._known, country) if other.region == country.region]
        far = [other.languages[0] for other in self._others(self._known, country)]
        question = f"Which of these languages is official in {country.name}?"
        return question, country.languages[0], self._pick((near, far), set(country.languages))

    def _neighbour(self, country: Country) -> Draft | None:
        others = self._others(self._known, country)
        right = [other.name for other in others if other.alpha3 in country.borders]
        inland = [other for other in others if other.borders and other.alpha3 not in country.borders]
        near = [
            other.name for other in inland if other.region == country.region and country.alpha3 not in other.borders
        ]
        far = [other.name for other in inland if country.alpha3 not in other.borders]
        if not right:
            return None
        return (
            f"Which of these countries borders {country.name}?",
            self._rng.choice(right),
            self._pick((near, far), {country.name}),
        )

    def _others(self, countries: Sequence[Country], country: Country) -> list[Country]:
        return [other for other in countries if other.alpha2 != country.alpha2]

    def _pick(self, pools: Sequence[Sequence[str]], banned: set[str]) -> list[str]:
        """Three different choices, from the first pool as far as it goes; frequent ones more often."""
        wrong: list[str] = []
        for pool in pools:
            free = [choice for choice in pool if choice not in banned]
            self._rng.shuffle(free)
            wrong += [choice for choice in dict.fromkeys(free) if choice not in wrong]
        return wrong[:WRONG]
