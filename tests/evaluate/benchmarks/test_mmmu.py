"""MMMU's two files, its reading of letters and open answers, and its accuracy overall, by domain and by subject."""

from __future__ import annotations

import json
import re
from random import Random

import numpy as np
import pytest

from steering.errors import DataError
from steering.evaluate.benchmarks.form import Example
from steering.evaluate.benchmarks.mmmu import (
    DOMAINS,
    GROUPS,
    MMMU,
    SUBJECTS,
    guess,
    open_is_right,
    read_choice,
    read_open,
)

FRUIT = ("red apple", "green pear", "apple", "the Fig")

CHOICES = {
    "B": "B",
    "B.": "B",
    " (B) ": "B",
    "B.,": "B",
    "B,.": None,
    "b": None,
    "(b)": None,
    "The answer is B.": "B",
    "The answer is B. Because": None,
    "(A) or (C)": "C",
    "(C) or (A)": "A",
    "(A) is better than B": "A",
    "A or B or A then": "A",
    "A dog": "A",
    "E": None,
    "(E)": None,
    "Α": None,
    "答案是 B": "B",
    "答案是B": None,
    "": None,
    "apple": None,
    "I would say it is the APPLE": "C",
    "I would say it is a red apple": "C",
    "it is an apple , not the fig there": "D",
    "I would say it is the plum": None,
    "C'": "C",
}


@pytest.mark.parametrize(("answer", "expected"), CHOICES.items())
def test_golden_choice(answer, expected):
    assert read_choice(answer, FRUIT) == expected


OPEN = [
    ("5", "5", True),
    ("5.0", "5", True),
    ("5.004", "5", True),
    ("5.006", "5", False),
    ("1,000", "1000", True),
    ("The result is 1,000,000 dollars", "1000000", True),
    ("x = 3", "3", True),
    ("x = 3\nso it holds", "3", False),
    ("about 1e3 of them", "1000", True),
    ("-7", "7", False),
    ("It is $8", "8", True),
    ("seven", "7", False),
    ("The answer is Paris.", "paris", True),
    ("Paris. The answer is Rome", "Paris", False),
    ("It is in Paris, so to speak", "Paris", False),
    ("Paris, France", "Paris", True),
    ("b", "b", True),
    ("about", "b", False),
    ("vitamin b", "b", True),
    ("答案是巴黎", "巴黎", True),
    ("", "Paris", False),
    (".", "5", False),
    ("the answer is :", "x", False),
]


@pytest.mark.parametrize(("answer", "reference", "right"), OPEN)
def test_golden_open_answer(answer, reference, right):
    assert open_is_right([reference], read_open(answer)) is right


def test_any_of_several_references_is_right():
    assert open_is_right(["24/7", "3.429"], read_open("The answer is 3.43"))


# The rule a second time, as the published script's steps read.


def second_choice(response, choices):
    letters = [chr(65 + n) for n in range(len(choices))]
    response = response.strip()
    for mark in [",", ".", "!", "?", ";", ":", "'"]:
        response = response.strip(mark)
    response = " " + response + " "
    found = [(response.rindex(f"({x})"), x) for x in letters if f"({x})" in response]
    if not found:
        found = [(response.rindex(f" {x} "), x) for x in letters if f" {x} " in response]
    if not found and len(response.split()) > 5:
        low = response.lower()
        found = [(low.rindex(t.lower()), x) for x, t in zip(letters, choices, strict=True) if t.lower() in low]
    if not found:
        return None
    return found[int(np.argmax([place for place, _ in found]))][1]


def second_norm(string):
    string = string.strip()
    try:
        float(string.replace(",", ""))
        number = True
    except ValueError:
        number = False
    if number:
        return [round(float(string.replace(",", "")), 2)]
    string = string.lower()
    return [" " + string, string + " "] if len(string) == 1 else [string]


def second_open(response):
    response = response.strip().strip(".").lower()
    sentences = re.split(r"\.\s(?=[A-Z])|\n", response)
    words, keys = ["could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result "], []
    for number, sentence in enumerate(sentences):
        if number == len(sentences) - 1:
            words.append("=")
        short = None
        for word in words:
            if word in sentence:
                tail = sentence.split(word)[-1].strip()
                if not short or len(tail) < len(short):
                    short = tail
        if short and short.strip() not in [":", ",", ".", "!", "?", ";", ":", "'"]:
            keys.append(short)
    keys = keys or [response]
    found = list(keys)
    for key in keys:
        found += re.findall(r"-?\b\d{1,3}(?:,\d{3})+\b", key)
        found += re.findall(r"-?\d+(?:\.\d+)?[eE][+-]?\d+", key)
        found += re.findall(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])", key)
    return {value for text in found for value in second_norm(text)}


def second_right(gold, said):
    wanted = [value for one in gold for value in second_norm(one)]
    for one in said:
        if isinstance(one, str):
            for value in wanted:
                if isinstance(value, str) and value in one:
                    return True
        elif one in wanted:
            return True
    return False


PARTS = ["A", "B", "(A)", "(C)", "(", ")", " ", "  ", ".", ",", "'", "!", "apple", "red apple", "the Fig", "is", "word",
         "\n", "D ", "é"]  # fmt: skip
OPEN_PARTS = ["so ", "is ", "thus ", "final ", "=", " ", ".", ". ", ",", "\n", "5", "-5", "1,000", "3.14159", "1e3",
              ".5", "x", "b", "Paris", "answer ", ":", "\t", "10", "é", "could be "]  # fmt: skip
GOLDS = ["5", "1000", "3.14", "Paris", "b", "x", "1,000", "0.5", "-5", "so", "é", "5 b"]


def test_choices_agree_with_a_second_implementation():
    random = Random(1)
    for text in ("".join(random.choices(PARTS, k=random.randint(0, 14))) for _ in range(5000)):
        assert read_choice(text, FRUIT) == second_choice(text, FRUIT), text


def test_open_answers_agree_with_a_second_implementation():
    random = Random(2)
    for text in ("".join(random.choices(OPEN_PARTS, k=random.randint(0, 12))) for _ in range(5000)):
        gold = random.sample(GOLDS, random.randint(1, 2))
        assert set(read_open(text)) == second_open(text), text
        assert open_is_right(gold, read_open(text)) == second_right(gold, second_open(text)), (text, gold)


def question(name="validation_Math_1", **more):
    about = {"id": name, "prompt": "<image>\nWhat is <image 1>?", "image": f"{name}.png"}
    letters = {"all_choices": list("ABCD"), "index2ans": dict(zip("ABCD", FRUIT, strict=True))}
    return {**about, "question_type": "multiple-choice", **letters, **more}


@pytest.fixture
def root(tmp_path):
    several = question("validation_Art_Theory_3")
    del several["image"]
    rows = [question(), question("validation_Art_2", question_type="open", all_choices=[], index2ans={}), several]
    truth = {
        "validation_Math_1": {"question_type": "multiple-choice", "ground_truth": "B"},
        "validation_Art_2": {"question_type": "open", "ground_truth": ["24/7", "3.429"]},
        "validation_Art_Theory_3": {"question_type": "multiple-choice", "ground_truth": "C"},
    }
    (tmp_path / "anns_for_eval.json").write_text(json.dumps(rows))
    (tmp_path / "answer_dict_val.json").write_text(json.dumps(truth))
    return tmp_path


def test_rows_become_examples(root):
    first, second, third = MMMU.examples(root, "val")
    assert (first.id, first.category, first.image) == ("validation_Math_1", "Math", "validation_Math_1.png")
    assert (first.prompt, first.choices, first.target) == ("What is <image 1>?", FRUIT, "B")
    assert (second.answers, second.choices, second.category) == (("24/7", "3.429"), (), "Art")
    assert (third.image, third.category) == (None, "Art_Theory")
    assert MMMU.examples(root, "val", "Art") == [second]


def test_an_answer_to_several_pictures_is_not_read(root):
    found = MMMU.outcome(MMMU.examples(root, "val")[2], "(C)")
    assert (found["correct"], found["parsed"], found["one_picture"]) == (0, 0, 0)


def test_a_guess_stands_for_unread_answers_alone_and_is_seeded(root):
    example = MMMU.examples(root, "val")[0]
    letter = guess(example)
    right = Example(**{**vars(example), "target": letter, "answers": (letter,)})
    assert MMMU.outcome(right, "no idea")["correct"] == 0
    assert MMMU.outcome(right, "no idea")["correct_guess"] == 1
    wrong = "A" if letter != "A" else "B"
    assert MMMU.outcome(right, wrong)["correct_guess"] == 0
    drawn = [guess(Example(**{**vars(example), "id": str(n)})) for n in range(400)]
    assert {x: 70 < drawn.count(x) < 130 for x in "ABCD"} == dict.fromkeys("ABCD", True)


def test_an_empty_open_answer_is_unparsed_and_a_full_one_is_read(root):
    example = MMMU.examples(root, "val")[1]
    assert (MMMU.outcome(example, " ")["parsed"], MMMU.outcome(example, " ")["correct"]) == (0, 0)
    assert (MMMU.outcome(example, "3.43")["parsed"], MMMU.outcome(example, "3.43")["correct"]) == (1, 1)


def test_the_submission_scores_officially_what_accuracy_says(root):
    examples = MMMU.examples(root, "val")
    answers = ["the answer is (B)", "It is 3.43", "C"]
    sent = MMMU.submission(zip(examples, answers, strict=True))
    assert sent == {"validation_Math_1": "B", "validation_Art_2": "It is 3.43", "validation_Art_Theory_3": ""}
    assert MMMU.submission([(examples[0], "no idea")]) == {"validation_Math_1": ""}


def columns(random, n):
    rows = []
    for number in range(n):
        subject = random.choice(SUBJECTS[:6])
        image = random.choice([None, "a.png", "a.png"])
        example = Example(f"validation_{subject}_{number}", image, "p", "B", ("B",), FRUIT, "q", subject)
        rows.append(MMMU.outcome(example, random.choice(["A", "B", "B", "?"])))
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def test_weights_of_ones_give_counts_by_hand():
    outcomes = columns(Random(3), 200)
    ones = np.ones(200)
    correct, subject = outcomes["correct"], outcomes["subject"]
    assert MMMU.measure("accuracy", outcomes, ones) == correct.mean()
    assert MMMU.measure("accuracy_guess", outcomes, ones) > correct.mean()
    assert MMMU.measure("accuracy_one_picture", outcomes, ones) == correct[outcomes["one_picture"] == 1].mean()
    assert MMMU.measure("accuracy_Art", outcomes, ones) == correct[subject == SUBJECTS.index("Art")].mean()
    assert MMMU.measure("accuracy_Art and Design", outcomes, ones) == correct[subject < 4].mean()
    assert np.isnan(MMMU.measure("accuracy_Pharmacy", outcomes, ones))


def test_whole_weights_are_questions_that_come_more_often():
    outcomes = columns(Random(4), 60)
    weights = np.random.default_rng(0).integers(0, 4, (3, 60))
    for name in MMMU.metrics:
        often = MMMU.measure(name, outcomes, weights.astype(float))
        for value, counts in zip(often, weights, strict=True):
            longer = {key: np.repeat(column, counts) for key, column in outcomes.items()}
            assert value == pytest.approx(MMMU.measure(name, longer, np.ones(counts.sum())), nan_ok=True)


def test_there_are_thirty_subjects_in_six_domains():
    assert (len(SUBJECTS), len(set(SUBJECTS)), len(DOMAINS), len(GROUPS)) == (30, 30, 6, 36)


def test_faults_name_the_row(root):
    def broken(change, why):
        (root / "anns_for_eval.json").write_text(json.dumps([change]))
        with pytest.raises(DataError, match=re.escape(why)):
            MMMU.examples(root, "val")

    broken(question(all_choices=["B", "A"]), "row 1: all_choices ['B', 'A']; allowed are the letters from A on")
    broken(question(index2ans={"A": "x"}), "index2ans: field 'B' is missing")
    broken(question("validation_Math_9"), "field 'validation_Math_9' is missing")
    broken(question(question_type="open"), "question_type 'open'")
    broken(question(all_choices=["A"], index2ans={"A": "x"}), "ground_truth 'B'; allowed are A")
    (root / "answer_dict_val.json").write_text('{"validation_Maths_1": {"question_type": "open", "ground_truth": "1"}}')
    broken(question("validation_Maths_1", question_type="open"), "30 (did you mean Math?)")
    with pytest.raises(DataError, match=r"answer_dict_test\.json: not found"):
        MMMU.examples(root, "test")
