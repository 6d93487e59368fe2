"""POPE rows are true, balanced per picture and per kind, and their negatives are what their subset promises."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from steering.data.embedded.icons_pope import SUBSETS, Statistics, questions
from steering.data.embedded.scenes import plan_scenes
from steering.data.embedded.vocabulary import CATEGORY_OF

SCENES = {"train": plan_scenes("train", 600, seed=0), "test": plan_scenes("test", 200, seed=0)}
STATISTICS = Statistics(SCENES["train"])


def rows_of(split: str, subset: str, limit: int | None = None) -> list[dict]:
    return questions(SCENES[split], subset, statistics=STATISTICS, seed=0, limit=limit)


def kind_of(row: dict) -> str:
    return row["text"].removeprefix("Is there a").removeprefix("n").split()[0]


@pytest.mark.parametrize("subset", SUBSETS)
def test_every_label_is_true(subset):
    present = {scene.name: scene.present for scene in SCENES["test"]}
    for row in rows_of("test", subset):
        assert (kind_of(row) in present[row["image"]]) == (row["label"] == "yes")


@pytest.mark.parametrize("subset", SUBSETS)
def test_each_picture_has_as_many_yes_as_no(subset):
    labels = defaultdict(Counter)
    for row in rows_of("test", subset):
        labels[row["image"]][row["label"]] += 1
    assert all(count["yes"] == count["no"] <= 3 for count in labels.values())


@pytest.mark.parametrize("subset", SUBSETS)
def test_a_guesser_that_knows_only_the_question_is_at_chance(subset):
    seen, test = defaultdict(Counter), rows_of("test", subset)
    for row in rows_of("train", subset):
        seen[row["text"]][row["label"]] += 1
    right = sum(seen[row["text"]].most_common(1)[0][0] == row["label"] for row in test)
    assert right / len(test) <= 0.56


@pytest.mark.parametrize("subset", SUBSETS)
def test_each_kind_is_present_about_as_often_as_absent(subset):
    balance = Counter()
    for row in rows_of("test", subset):
        balance[kind_of(row)] += 1 if row["label"] == "yes" else -1
    assert max(map(abs, balance.values())) <= 2


def test_popular_asks_about_the_frequent_half_only():
    assert {kind_of(row) for row in rows_of("test", "popular")} <= STATISTICS.popular
    assert len(STATISTICS.popular) == 24


def test_adversarial_negatives_are_related_to_what_is_there():
    present = {scene.name: scene.present for scene in SCENES["test"]}
    for row in rows_of("test", "adversarial"):
        if row["label"] == "no":
            assert any(kind_of(row) in STATISTICS.related(kind) for kind in present[row["image"]])


def test_related_holds_the_whole_category():
    assert {kind for kind in CATEGORY_OF if CATEGORY_OF[kind] == "animal"} <= STATISTICS.related("cat")


def test_a_limit_is_spread_over_the_scenes():
    rows = rows_of("test", "random", limit=200)
    assert len(rows) == 200
    assert len({row["image"] for row in rows}) == 100
    assert [row["question_id"] for row in rows] == list(range(1, 201))


def test_no_scenes_give_no_questions():
    assert questions([], "random", statistics=STATISTICS, seed=0) == []
