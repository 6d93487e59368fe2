"""Log-likelihoods become outcomes as in lm-evaluation-harness, and contexts are cut as there."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest

from steering.errors import DataError
from steering.evaluate.benchmarks.form import Example
from steering.evaluate.likelihood import encode_pair, likelihood_outcome, told

TEXTS = ("a", "bb", "ccc", "dddd")


def example(target, texts=TEXTS):
    return Example("1", None, "p", target, (target,), tuple(texts), "q")


def outcome(target, values, texts=TEXTS):
    return likelihood_outcome(example(target, texts), told(values), texts)


def test_the_sum_and_the_share_per_character_may_choose_differently():
    found = outcome("D", [-3, -5, -6, -4])
    assert found == {"correct": 0, "correct_norm": 1, "correct_bytes": 1, "parsed": 1}
    assert outcome("A", [-3, -5, -6, -4])["correct"] == 1


def test_characters_and_bytes_differ_for_other_scripts():
    texts = ("aaaa", "日本")
    assert outcome("A", [-4, -2.1], texts)["correct_norm"] == 1
    assert outcome("B", [-4, -2.1], texts)["correct_bytes"] == 1


def test_of_equals_the_first_is_chosen():
    assert outcome("A", [-1, -1], ("x", "y"))["correct"] == 1
    assert outcome("B", [-1, -1], ("x", "y"))["correct"] == 0


@pytest.mark.parametrize("values", [[math.nan, -1], [math.inf, -1], [-math.inf, -math.inf]])
def test_no_number_is_unparsed_and_wrong(values):
    assert set(outcome("A", values, ("x", "y")).values()) == {0.0}


def test_no_chance_for_one_choice_is_a_number():
    assert outcome("B", [-math.inf, -9], ("x", "y")) == dict.fromkeys(
        ("correct", "correct_norm", "correct_bytes", "parsed"), 1.0
    )


def test_an_empty_choice_is_never_the_longest_per_character():
    assert outcome("B", [-1, -9], ("", "yy")) == {"correct": 0, "correct_norm": 1, "correct_bytes": 1, "parsed": 1}


def test_a_guessers_letter_is_an_answer_and_other_text_is_none():
    assert likelihood_outcome(example("B"), "B", TEXTS)["correct_norm"] == 1
    assert likelihood_outcome(example("B"), "A", TEXTS) == dict(correct=0, correct_norm=0, correct_bytes=0, parsed=1)
    for said in ("", "E", "AB", "bb", "3", "{}", '["a"]', "[true, false, true, false]"):
        assert set(likelihood_outcome(example("B"), said, TEXTS).values()) == {0.0}


def test_a_wrong_number_of_loglikelihoods_is_refused():
    with pytest.raises(DataError, match="1: 2 log-likelihoods; the question has 4 choices"):
        outcome("A", [-1, -2])


def test_agrees_with_argmax_on_random_questions():
    random = Random(5)
    for _ in range(500):
        texts = ["".join(random.choices("aé日 ", k=random.randint(1, 9))) for _ in range(4)]
        values = [-random.choice([0.5, 1, 2, 3, 4, 6, random.random() * 20]) for _ in range(4)]
        gold = random.randrange(4)
        found = outcome("ABCD"[gold], values, texts)
        characters, size = (np.array([float(len(x)) for x in each]) for each in (texts, [t.encode() for t in texts]))
        assert found["correct"] == (np.argmax(values) == gold)
        assert found["correct_norm"] == (np.argmax(np.array(values) / characters) == gold)
        assert found["correct_bytes"] == (np.argmax(np.array(values) / size) == gold)


def pieces(text):
    """A tokenizer that joins a blank to the letters after it."""
    words, found = text.replace(" ", "\x00 ").split("\x00"), []
    for word in words:
        found += [hash(word)] if word else []
    return found


def test_blanks_at_the_end_of_a_context_go_to_the_continuation():
    assert encode_pair(pieces, "one two ", "three") == ([hash("one"), hash(" two")], [hash(" three")])
    assert encode_pair(pieces, "one two", " three") == encode_pair(pieces, "one two ", "three")
