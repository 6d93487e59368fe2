"""ScienceQA's prompt as LLaVA writes it, its letter reading, and accuracy with and without a picture."""

from __future__ import annotations

import json
import random
import string

import numpy as np
import pytest

from steering.errors import DataError
from steering.evaluate.benchmarks.scienceqa import SCIENCEQA, SCIENCEQA_LLAVA, read_letter

GOLDEN = {
    "B": "B",
    " B\n": "B",
    "B. dog": "B",
    "The answer is B.": "B",
    "I think so. The answer is B. Because": "B",
    "The answer is B": None,
    "The answer is A. The answer is B.": None,
    "B.": None,
    "(B)": None,
    "b": None,
    "B dog": None,
    "Bee": None,
    "D": None,
    "D. The answer is B.": None,
    "F. The answer is B.": "B",
    "The answer is D.": None,
    "ответ Б": None,
    "答案是B": None,
    "": None,
}


@pytest.mark.parametrize(("answer", "expected"), GOLDEN.items())
def test_golden_answer_with_three_choices(answer, expected):
    assert read_letter(answer, 3) == expected


def problem(**changes):
    plain = {"question": "What is the capital?", "choices": ["Oslo", "Rome"], "answer": 1, "hint": "", "image": None}
    return plain | changes


def write(root, **problems):
    (root / "problems.json").write_text(json.dumps(problems))
    (root / "pid_splits.json").write_text(json.dumps({"test": list(problems)}))


def test_prompt_is_llavas(tmp_path):
    write(tmp_path, p1=problem(), p2=problem(hint="Figure: a boot.", image="image.png"))
    text, picture = SCIENCEQA.examples(tmp_path, "test", None)
    ending = "What is the capital?\nA. Oslo\nB. Rome\nAnswer with the option's letter from the given choices directly."
    assert text.prompt == ending
    assert picture.prompt == f"Context: Figure: a boot.\n{ending}"
    assert (text.image, picture.image) == (None, "images/test/p2/image.png")
    assert (text.category, picture.category) == ("text", "image")
    assert (text.target, text.answers, text.choices) == ("B", ("B",), ("Oslo", "Rome"))
    assert picture.question == "What is the capital?"


def test_subset_keeps_questions_with_or_without_a_picture(tmp_path):
    write(tmp_path, p1=problem(), p2=problem(image="image.png"))
    assert [one.id for one in SCIENCEQA.examples(tmp_path, "test", "image")] == ["p2"]
    assert [one.id for one in SCIENCEQA.examples(tmp_path, "test", "text")] == ["p1"]
    with pytest.raises(DataError, match="subset 'img' is unknown; it has image, text"):
        SCIENCEQA.examples(tmp_path, "test", "img")


@pytest.mark.parametrize("answer", [2, -1, "1", None])
def test_an_answer_beyond_the_choices_is_refused(tmp_path, answer):
    write(tmp_path, p1=problem(answer=answer))
    with pytest.raises(DataError, match="p1: answer .*allowed is an index below 2"):
        SCIENCEQA.examples(tmp_path, "test", None)


def test_accuracy_is_also_given_with_and_without_a_picture(tmp_path):
    write(tmp_path, a=problem(), b=problem(image="image.png"), c=problem(image="image.png"))
    examples = SCIENCEQA.examples(tmp_path, "test", None)
    rows = [SCIENCEQA.outcome(one, said) for one, said in zip(examples, ["B", "B", "?"], strict=True)]
    outcomes = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    assert outcomes["parsed"].tolist() == [1, 1, 0]
    weights = np.array([[1.0, 1, 1], [1, 0, 0]])
    assert SCIENCEQA.measure("accuracy", outcomes, weights) == pytest.approx([2 / 3, 1])
    assert SCIENCEQA.measure("accuracy_image", outcomes, weights) == pytest.approx([1 / 2, np.nan], nan_ok=True)
    assert SCIENCEQA.measure("accuracy_text", outcomes, weights) == pytest.approx([1, 1])


def named_in_turn(text, phrase="The answer is "):
    """The capitals after each phrase that a further letter follows, read from left to right without overlap."""
    at, named = text.find(phrase), []
    while at >= 0:
        after = text[at + len(phrase) :][:2]
        whole = len(after) == 2 and after[0] in string.ascii_uppercase and after[1] != "\n"
        named += after[0] if whole else []
        at = text.find(phrase, at + (len(phrase) + 2 if whole else 1))
    return named


def by_position(text, choices):
    """The official reading, by position of the words and not by pattern."""
    if len(text) == 1 and text in "ABCDE":
        letter = text
    elif text[:1] in tuple("ABCDE") and text[1:3] == ". ":
        letter = text[0]
    else:
        named = named_in_turn(text)
        letter = named[0] if len(named) == 1 else ""
    return letter if letter and letter in "ABCDE"[:choices] else None


def test_reading_agrees_with_a_second_one_on_random_answers():
    chance = random.Random(0)
    pieces = [*"ABCDEFb", ". ", ".", " ", "(", ")", "The answer is ", "The answer is B.", "dog", "\n", "是", "1,000"]
    seen = set()
    for _ in range(5000):
        text = "".join(chance.choices(pieces, k=chance.randint(0, 4))).strip()
        choices = chance.randint(2, 5)
        seen.add(read_letter(text, choices))
        assert read_letter(text, choices) == by_position(text, choices), text
    assert seen == {*"ABCDE", None}


def write_llava(root, *rows):
    (root / "llava_test_CQM-A.json").write_text(json.dumps(rows))


def asked(pid, text, **more):
    return {"id": pid, **more, "conversations": [{"from": "human", "value": text}, {"from": "gpt", "value": "B"}]}


def test_llavas_words_and_pictures_are_taken_as_they_are(tmp_path):
    write(tmp_path, p1=problem(), p2=problem(image="image.png"))
    write_llava(tmp_path, asked("p2", "<image>\nWhat?\nA. x", image="p2/image.png"), asked("p1", "Where?\nA. x"))
    text, picture = SCIENCEQA_LLAVA.examples(tmp_path, "test", None)
    assert text.prompt == "Where?\nA. x\nAnswer with the option's letter from the given choices directly."
    assert picture.prompt.startswith("What?\nA. x\nAnswer")
    assert (text.image, picture.image) == (None, "images/test/p2/image.png")
    assert (text.target, picture.choices) == ("B", ("Oslo", "Rome"))
    assert [one.id for one in SCIENCEQA_LLAVA.examples(tmp_path, "test", "image")] == ["p2"]


def test_a_question_that_llavas_file_lacks_is_named(tmp_path):
    write(tmp_path, p1=problem(), p2=problem())
    write_llava(tmp_path, asked("p1", "Where?"))
    with pytest.raises(DataError, match="CQM-A.json: 1 questions of test are missing, first p2; it takes all"):
        SCIENCEQA_LLAVA.examples(tmp_path, "test", None)
    write_llava(tmp_path, asked("p1", "Where?"), {"id": "p2", "conversations": []})
    with pytest.raises(DataError, match="p2: no conversation"):
        SCIENCEQA_LLAVA.examples(tmp_path, "test", None)
