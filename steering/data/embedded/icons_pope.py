"""POPE's question ("Is there a cat in the image?") about icon scenes, with random, popular and adversarial negatives.

As many "no" as "yes" per scene (up to three each) and, as nearly as the scenes allow, per kind, so that the question
alone tells nothing. Departures from POPE, both for that balance: a negative is drawn among the kinds that still have
more "yes" than "no"; and the popular subset asks only about the more frequent half of the kinds, "yes" and "no" alike.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from steering.data.embedded.scenes import Scene
from steering.data.embedded.vocabulary import CATEGORIES, CATEGORY_OF, KINDS, with_article

SUBSETS = ("random", "popular", "adversarial")
PAIRS_PER_SCENE = 3
RELATED = 8  # how many of the kinds seen most often together with a present kind count as adversarial

Negatives = Callable[[Scene], list[str]]


class Statistics:
    """What the training scenes tell: the more frequent half of the kinds, and what is seen together with what."""

    def __init__(self, scenes: Sequence[Scene]):
        frequency = Counter(kind for scene in scenes for kind in scene.present)
        self.popular = frozenset(sorted(KINDS, key=lambda kind: (-frequency[kind], kind))[: len(KINDS) // 2])
        self._together: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
        for scene in scenes:
            for kind in scene.present:
                self._together[kind].update(other for other in scene.present if other != kind)

    def related(self, kind: str) -> set[str]:
        """The kinds of the same category as *kind* and those most often seen together with it."""
        return {*CATEGORIES[CATEGORY_OF[kind]], *(other for other, _ in self._together[kind].most_common(RELATED))}


def questions(
    scenes: Sequence[Scene], subset: str, *, statistics: Statistics, seed: int, limit: int | None = None
) -> list[dict[str, Any]]:
    """POPE rows {question_id, image, text, label} of one of SUBSETS; at most *limit*, over as many scenes as can be."""
    rng = random.Random(f"{seed}/pope/{subset}/{scenes[0].split if scenes else ''}")
    asked = KINDS if subset != "popular" else tuple(kind for kind in KINDS if kind in statistics.popular)
    negatives = {"random": _absent, "popular": _absent, "adversarial": _adversarial(statistics)}[subset]
    yes = _positives(scenes, asked, rng, limit)
    return _rows(scenes, yes, _balanced_negatives(scenes, yes, (asked, negatives), rng))


def _absent(scene: Scene) -> list[str]:
    return [kind for kind in KINDS if kind not in scene.present]


def _adversarial(statistics: Statistics) -> Negatives:
    def candidates(scene: Scene) -> list[str]:
        related = set().union(*(statistics.related(kind) for kind in scene.present))
        return [kind for kind in _absent(scene) if kind in related]

    return candidates


def _positives(scenes: Sequence[Scene], asked: Sequence[str], rng: random.Random, limit: int | None) -> list[list[str]]:
    """Per scene up to three present kinds; under a limit the scenes take turns, one kind each."""
    left = len(scenes) * PAIRS_PER_SCENE if limit is None else limit // 2
    orders = [
        rng.sample(present, len(present)) for scene in scenes for present in [[k for k in scene.present if k in asked]]
    ]
    chosen: list[list[str]] = [[] for _ in scenes]
    for turn in range(PAIRS_PER_SCENE):
        for place in rng.sample(range(len(scenes)), len(scenes)):
            if left > 0 and turn < len(orders[place]):
                chosen[place].append(orders[place][turn])
                left -= 1
    return chosen


def _balanced_negatives(
    scenes: Sequence[Scene], yes: Sequence[Sequence[str]], choice: tuple[Sequence[str], Negatives], rng: random.Random
) -> list[list[str]]:
    """As many absent kinds as *yes* has, per scene, each the one that lacks "no" most at that moment."""
    asked, negatives = choice
    missing = Counter(kind for kinds in yes for kind in kinds)
    chosen: list[list[str]] = [[] for _ in scenes]
    for place in rng.sample(range(len(scenes)), len(scenes)):
        free = [kind for kind in negatives(scenes[place]) if kind in asked]
        rng.shuffle(free)
        chosen[place] = sorted(free, key=lambda kind: -missing[kind])[: len(yes[place])]
        missing.subtract(chosen[place])
    return chosen


def _rows(scenes: Sequence[Scene], yes: Sequence[Sequence[str]], no: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for scene, present, absent in zip(scenes, yes, no, strict=True):
        labelled = [
            (kind, label)
            for pair in zip(present, absent, strict=True)
            for kind, label in zip(pair, ("yes", "no"), strict=True)
        ]
        for kind, label in labelled:
            text = f"Is there {with_article(kind)} in the image?"
            rows.append({"question_id": len(rows) + 1, "image": scene.name, "text": text, "label": label})
    return rows
