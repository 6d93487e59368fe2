"""The EvalAI normaliser's rules one by one, its odd cases, and agreement with rules applied letter by letter."""

from __future__ import annotations

import string
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steering.evaluate.normalise import CONTRACTIONS, FULL_STOPS_REMOVED, PUNCTUATION, normalise

GOLDEN = {
    "Yes": "yes",
    "yes.": "yes",
    " yes \n": "yes",
    "two": "2",
    "Ten": "10",
    "none": "0",
    "eleven": "eleven",
    "twenty two": "twenty 2",
    "the cat": "cat",
    "A cat and an owl": "cat and owl",
    "the": "",
    "theatre": "theatre",
    "isnt": "isn't",
    "isn't": "isn't",
    "couldntve": "couldntve",
    "couldn'tve": "couldn't've",
    "yalld've": "yalld've",
    "oclock": "o'clock",
    "somebody'd": "somebodyd",
    "1,000": "1000",
    "1,000.5": "1000.5",
    "3.14": "3.14",
    "3.": "3",
    ".5": ".5",
    "u.s.a.": "usa",
    "red,blue": "redblue",
    "red, blue": "red blue",
    "what?": "what",
    "black/white": "black white",
    "black / white": "black white",
    "t-shirt": "t shirt",
    "t-shirt - red": "tshirt red",
    "cat's": "cat 's",
    "man\tand\nwoman": "man and woman",
    "(a)": "",
    "(b)": "b",
    "$5": "$5",
    "5:30": "5:30",
    "50%": "50%",
    "": "",
    "猫。": "猫。",
    "Кот": "кот",
    "zwei": "zwei",
}


@pytest.mark.parametrize(("answer", "expected"), GOLDEN.items())
def test_golden_case(answer, expected):
    assert normalise(answer) == expected


def test_contractions_are_the_114_of_the_official_table_that_lower_case_can_reach():
    assert len(CONTRACTIONS) == 114
    assert all(key.replace("'", "") == form.replace("'", "") for key, form in CONTRACTIONS.items())


def test_at_most_32_full_stops_go_as_in_the_official_code():
    assert normalise("." * 40) == "." * (40 - FULL_STOPS_REMOVED)


def test_two_and_2_are_one_answer():
    assert normalise("Two.") == normalise("2")


NUMBER_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "none"]
DIGITS = dict(zip(NUMBER_WORDS, [*range(11), 0], strict=True))


def letter_by_letter(answer: str) -> str:
    """A second reading of the rules, without regular expressions or replace on the whole text."""
    text = "".join(letter for letter in answer.lower() if letter not in ",?").replace("'s", " 's").strip()
    text = "".join(" " if letter in "\n\t" else letter for letter in text).strip()
    padded = f"\0{text}\0"
    beside = {mark for before, mark in pairwise(padded) if before == " "}
    beside |= {mark for mark, after in pairwise(padded) if after == " "}
    joined = "".join(("" if mark in beside else " ") if mark in PUNCTUATION else mark for mark in text)
    out, stops = [], 0
    for at, letter in enumerate(joined):
        if letter == "." and not joined[at + 1 : at + 2].isdecimal() and stops < FULL_STOPS_REMOVED:
            stops += 1
            continue
        out.append(letter)
    counted = [str(DIGITS.get(word, word)) for word in "".join(out).split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in counted if word not in ("a", "an", "the"))


WORDS = st.sampled_from(["two", "the", "a", "isnt", "none", "cat's", "1,000", "3.5", "3.", "-", "t-shirt", "(b)", "?"])


@given(st.one_of(st.text(string.ascii_letters + string.digits + string.punctuation + " \n\t"), st.text()))
def test_agrees_with_rules_applied_letter_by_letter(answer):
    assert normalise(answer) == letter_by_letter(answer)


@given(st.lists(WORDS).map(" ".join))
def test_agrees_on_the_words_that_rules_touch(answer):
    assert normalise(answer) == letter_by_letter(answer)
