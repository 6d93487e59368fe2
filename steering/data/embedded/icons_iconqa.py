"""IconQA's question types about icon scenes: fill_in_blank (count, name) and choose_txt (at, in, where).

The four choices of "at" and "in" are either all of one category or of four, and each kind is a wrong choice three
times as often as it is the right one, so that neither the category nor the kind of a choice tells the answer.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from steering.data.embedded.scenes import CELLS, Scene
from steering.data.embedded.vocabulary import CATEGORIES, CATEGORY_OF, KINDS, plural

Problem = dict[str, Any]
BLANKS_PER_SCENE = 2
CHOICES = 4


def problems(scenes: Sequence[Scene], *, seed: int, limit: int | None = None) -> list[tuple[Scene, Problem]]:
    """(scene, IconQA problem) pairs of one split; at most *limit* of each question type."""
    rng = random.Random(f"{seed}/iconqa/{scenes[0].split if scenes else ''}")
    blanks = [_counting(scenes), _naming(scenes, rng)]
    texts = [_choosing(scenes, "at", rng), _choosing(scenes, "in", rng), _placing(scenes, rng)]
    return [pair for groups in (blanks, texts) for pair in _limited(groups, limit, rng)]


def _limited(
    groups: list[list[tuple[Scene, Problem]]], limit: int | None, rng: random.Random
) -> list[tuple[Scene, Problem]]:
    if limit is None:
        return [pair for group in groups for pair in group]
    shares = [limit // len(groups) + (place < limit % len(groups)) for place in range(len(groups))]
    return [pair for group, share in zip(groups, shares, strict=True) for pair in _sample(group, share, rng)]


def _sample(group: list[tuple[Scene, Problem]], share: int, rng: random.Random) -> list[tuple[Scene, Problem]]:
    """*share* pairs in their order, at random, with every answer as often as every other where that can be."""
    by_answer: dict[str, list[int]] = {}
    for place in rng.sample(range(len(group)), len(group)):
        by_answer.setdefault(group[place][1]["answer"], []).append(place)
    turns = sorted((turn, rng.random(), place) for places in by_answer.values() for turn, place in enumerate(places))
    return [group[place] for place in sorted(place for _, _, place in turns[:share])]


def _blank(question: str, answer: str, label: str) -> Problem:
    return {
        "question": question,
        "answer": answer,
        "ques_type": "fill_in_blank",
        "grade": "kindergarten",
        "label": label,
    }


def _choice(question: str, choices: list[str], answer: str, label: str) -> Problem:
    right = str(choices.index(answer))
    common = {"answer": right, "ques_type": "choose_txt", "grade": "kindergarten", "label": label}
    return {"question": question, "choices": choices, **common}


def _counting(scenes: Sequence[Scene]) -> list[tuple[Scene, Problem]]:
    return [(s, _blank(f"How many {plural(s.target)} are there? (_)", str(s.copies), "count")) for s in scenes]


def _naming(scenes: Sequence[Scene], rng: random.Random) -> list[tuple[Scene, Problem]]:
    pairs: list[tuple[Scene, Problem]] = []
    for scene in scenes:
        filled = [cell for cell, kind in enumerate(scene.cells) if kind]
        for cell in rng.sample(filled, min(BLANKS_PER_SCENE, len(filled))):
            question = f"The picture at the {CELLS[cell]} shows a (_)."
            pairs.append((scene, _blank(question, str(scene.cells[cell]), "name")))
    return pairs


def _choosing(scenes: Sequence[Scene], label: str, rng: random.Random) -> list[tuple[Scene, Problem]]:
    """ "at" asks about one cell, kinds of other cells being the first wrong choices; "in" about the whole picture."""
    cells = [rng.choice([cell for cell, kind in enumerate(scene.cells) if kind]) for scene in scenes]
    rights = [str(scene.cells[cell]) for scene, cell in zip(scenes, cells, strict=True)]
    owed = Counter({kind: (CHOICES - 1) * count for kind, count in Counter(rights).items()})
    pairs: list[tuple[Scene, Problem]] = []
    for scene, cell, right in zip(scenes, cells, rights, strict=True):
        elsewhere = [kind for kind in scene.present if kind != right]
        question = f"Which of these is at the {CELLS[cell]}?" if label == "at" else "Which of these is in the picture?"
        wanted, banned = (elsewhere, [right]) if label == "at" else ([], [right, *elsewhere])
        wrong = _wrong_choices(right, [kind for kind in KINDS if kind not in banned], (wanted, owed), rng)
        pairs.append((scene, _choice(question, rng.sample([right, *wrong], CHOICES), right, label)))
    return pairs


def _wrong_choices(
    right: str, allowed: Sequence[str], wishes: tuple[Sequence[str], Counter[str]], rng: random.Random
) -> list[str]:
    """Three wrong choices: all of the right one's category, or of three other categories (half of the time each).

    wishes: the kinds to take first where they fit, and how often each kind is still owed as a wrong choice.
    """
    wanted, owed = wishes
    own = CATEGORY_OF[right]
    pools = [CATEGORIES[own]] * (CHOICES - 1) if rng.random() < 0.5 else _other_categories(own, wanted, rng)
    wrong: list[str] = []
    for pool in pools:
        free = [kind for kind in pool if kind in allowed and kind not in wrong]
        wrong.append(max(free, key=lambda kind: (kind in wanted, owed[kind], rng.random())))
        owed[wrong[-1]] -= 1
    return wrong


def _other_categories(own: str, wanted: Sequence[str], rng: random.Random) -> list[tuple[str, ...]]:
    """The kinds of three categories other than *own*, those of the wanted kinds first."""
    others = [category for category in CATEGORIES if category != own]
    first = {CATEGORY_OF[kind] for kind in wanted}
    ranked = sorted(rng.sample(others, len(others)), key=lambda category: category not in first)
    return [CATEGORIES[category] for category in ranked[: CHOICES - 1]]


def _placing(scenes: Sequence[Scene], rng: random.Random) -> list[tuple[Scene, Problem]]:
    """ "Where is the bus?" for one kind of the scene that stands there once; scenes without such a kind give none."""
    pairs: list[tuple[Scene, Problem]] = []
    for scene in scenes:
        single = [kind for kind in scene.present if scene.cells.count(kind) == 1]
        if single:
            kind = rng.choice(single)
            choices = rng.sample(CELLS, len(CELLS))
            verb = "are" if plural(kind) == kind and kind != "fish" else "is"
            right = CELLS[scene.cells.index(kind)]
            pairs.append((scene, _choice(f"Where {verb} the {kind}?", choices, right, "where")))
    return pairs
