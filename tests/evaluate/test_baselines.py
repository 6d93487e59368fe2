"""What the blind and the constant guesser say: train's habits, and nothing of the question asked but its text."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steering.evaluate.baselines import blind, majority, right_position
from steering.evaluate.benchmarks import FORMS, Example

VQA, ICONQA, SCIENCEQA = FORMS["vqa"], FORMS["iconqa"], FORMS["scienceqa"]


def plain(question, target, category=""):
    return Example("1", None, question, target, (target,), question=question, category=category)


def choosing(question, choices, target, number="1"):
    return Example(number, None, question, target, (target,), tuple(choices), question)


def test_blind_says_the_majority_answer_of_the_identical_question():
    train = [plain("a?", "yes"), plain("a?", "yes"), plain("a?", "no"), plain("b?", "no"), plain("b?", "no")]
    assert blind(VQA, train, [plain("a?", "no"), plain("b?", "yes")]) == ["yes", "no"]


def test_blind_falls_back_to_the_category_then_to_all():
    train = [plain("a?", "red", "colour"), plain("b?", "2", "count"), plain("c?", "2", "count"), plain("d?", "2", "x")]
    asked = [plain("new?", "?", "colour"), plain("new?", "?", "count"), plain("new?", "?", "unheard")]
    assert blind(VQA, train, asked) == ["red", "2", "2"]


def test_blind_never_looks_at_the_answer_asked_for():
    train = [choosing("q?", ["x", "y"], "A"), plain("q?", "x")]
    for asked in (choosing("q?", ["y", "x"], "A"), plain("q?", "z")):
        other = replace(asked, target="B", answers=("B",))
        assert blind(SCIENCEQA, train, [asked]) == blind(SCIENCEQA, train, [other])


def test_blind_chooses_the_text_that_was_right_for_the_question_wherever_it_stands():
    train = [choosing("capital?", ["Oslo", "Rome"], "B"), choosing("river?", ["Oslo", "Rome"], "A")]
    train += [choosing("river?", ["Oslo", "Po"], "A")]
    assert blind(SCIENCEQA, train, [choosing("capital?", ["Rome", "Oslo"], "B")]) == ["A"]


def test_blind_chooses_the_text_most_often_right_overall_for_an_unseen_question():
    train = [
        choosing("a?", ["bee", "cat"], "bee"),
        choosing("b?", ["bee", "dog"], "bee"),
        choosing("c?", ["cat", "dog"], "cat"),
    ]
    assert blind(ICONQA, train, [choosing("new?", ["cat", "bee", "owl"], "owl")]) == ["bee"]


def test_blind_draws_by_seed_among_choices_never_seen():
    asked = [choosing("new?", ["p", "q", "r"], "p", number=str(n)) for n in range(60)]
    train = [choosing("a?", ["bee", "cat"], "bee")]
    first = blind(ICONQA, train, asked, seed=1)
    assert first == blind(ICONQA, train, asked, seed=1)
    assert first != blind(ICONQA, train, asked, seed=2)
    assert set(first) == {"p", "q", "r"}


def test_majority_is_one_constant():
    train = [plain("a?", "yes"), plain("b?", "no"), plain("c?", "no")]
    assert majority(VQA, train, [plain("a?", "yes"), plain("z?", "z")]) == ["no", "no"]


def test_equally_frequent_answers_give_the_first_in_the_alphabet():
    assert majority(VQA, [plain("a?", "yes"), plain("b?", "no")], [plain("c?", "no")]) == ["no"]


def test_majority_of_lettered_questions_is_a_letter():
    train = [choosing("a?", ["x", "y"], "B"), choosing("b?", ["p", "q"], "B"), choosing("c?", ["x", "y"], "A")]
    assert majority(SCIENCEQA, train, [choosing("d?", ["u", "v", "w"], "C")]) == ["B"]


def test_majority_of_text_choices_is_a_position():
    train = [
        choosing("a?", ["x", "y", "z"], "z"),
        choosing("b?", ["p", "q", "r"], "r"),
        choosing("c?", ["x", "y"], "y"),
    ]
    asked = [choosing("d?", ["u", "v", "w"], "u"), choosing("e?", ["u", "v"], "u")]
    assert majority(ICONQA, train, asked) == ["w", "v"]


def test_questions_with_and_without_choices_are_guessed_apart():
    train = [plain("a?", "3"), choosing("b?", ["cat", "dog"], "dog")]
    asked = [plain("a?", "2"), choosing("b?", ["cat", "dog"], "cat")]
    assert majority(ICONQA, train, asked) == blind(ICONQA, train, asked) == ["3", "dog"]


@pytest.mark.parametrize(("form", "target"), [(SCIENCEQA, "C"), (ICONQA, "bee")])
def test_right_position_is_read_from_letter_or_text(form, target):
    assert right_position(form, choosing("q?", ["cat", "dog", "bee"], target)) == 2


@given(st.lists(st.permutations(["a", "b", "c"]), min_size=1, max_size=8), st.integers(0, 9))
def test_guesses_are_always_among_the_choices(orders, seed):
    asked = [choosing("q?", order, order[0], number=str(n)) for n, order in enumerate(orders)]
    said = blind(ICONQA, asked[:2], asked, seed=seed) + majority(ICONQA, asked[:2], asked)
    assert set(said) <= {"a", "b", "c"}
