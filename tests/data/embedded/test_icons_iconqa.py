"""IconQA problems are true, their answers even, and neither kind nor category of a choice tells the right one."""

from __future__ import annotations

from collections import Counter

import pytest

from steering.data.embedded.icons_iconqa import problems
from steering.data.embedded.scenes import CELLS, plan_scenes
from steering.data.embedded.vocabulary import CATEGORY_OF, plural

SCENES = plan_scenes("train", 576, seed=0)
PAIRS = problems(SCENES, seed=0)


def labelled(label: str) -> list:
    return [pair for pair in PAIRS if pair[1]["label"] == label]


def cell_of(question: str) -> int:
    return next(place for place, name in enumerate(CELLS) if name in question)


def right(problem: dict) -> str:
    return problem["choices"][int(problem["answer"])]


def test_counts_are_true_and_even():
    for scene, problem in labelled("count"):
        assert problem["question"] == f"How many {plural(scene.target)} are there? (_)"
        assert problem["answer"] == str(scene.cells.count(scene.target))
    assert set(Counter(problem["answer"] for _, problem in labelled("count")).values()) == {144}


def test_names_are_those_of_the_cell():
    for scene, problem in labelled("name"):
        assert problem["answer"] == scene.cells[cell_of(problem["question"])]


def test_at_has_one_right_choice():
    for scene, problem in labelled("at"):
        assert right(problem) == scene.cells[cell_of(problem["question"])]


def test_at_offers_what_stands_elsewhere():
    offered = sum(
        sum(choice in scene.present for choice in problem["choices"]) > 1 for scene, problem in labelled("at")
    )
    assert offered / len(SCENES) > 0.2


def test_in_has_exactly_one_choice_that_is_there():
    for scene, problem in labelled("in"):
        assert [choice for choice in problem["choices"] if choice in scene.present] == [right(problem)]


def test_where_asks_for_a_kind_that_stands_once():
    for scene, problem in labelled("where"):
        kind = problem["question"].removesuffix("?").split()[-1]
        assert sorted(problem["choices"]) == sorted(CELLS)
        assert scene.cells.count(kind) == 1 and scene.cells[CELLS.index(right(problem))] == kind


@pytest.mark.parametrize("label", ["at", "in"])
def test_choices_are_of_one_category_or_of_four(label):
    spread = Counter(len({CATEGORY_OF[choice] for choice in problem["choices"]}) for _, problem in labelled(label))
    assert set(spread) == {1, 4}
    assert abs(spread[1] / spread.total() - 0.5) < 0.07


@pytest.mark.parametrize("label", ["at", "in"])
def test_a_kind_is_right_about_once_in_four(label):
    offered = Counter(choice for _, problem in labelled(label) for choice in problem["choices"])
    correct = Counter(right(problem) for _, problem in labelled(label))
    assert all(0.15 < correct[kind] / offered[kind] < 0.35 for kind in offered)


@pytest.mark.parametrize("label", ["at", "in", "where"])
def test_the_right_choice_stands_anywhere(label):
    places = Counter(problem["answer"] for _, problem in labelled(label))
    assert set(places) == set("0123")
    assert max(places.values()) / places.total() < 0.32


def test_choices_differ_from_each_other():
    assert all(len(set(problem["choices"])) == 4 for _, problem in PAIRS if problem["ques_type"] == "choose_txt")


def test_blanks_have_no_choices():
    assert all("choices" not in problem for _, problem in PAIRS if problem["ques_type"] == "fill_in_blank")


def test_a_limit_holds_for_each_question_type_and_keeps_counts_even():
    limited = [problem for _, problem in problems(SCENES, seed=0, limit=80)]
    assert Counter(problem["ques_type"] for problem in limited) == {"fill_in_blank": 80, "choose_txt": 80}
    counted = Counter(problem["answer"] for problem in limited if problem["label"] == "count")
    assert set(counted.values()) == {10}
