"""IconQA's prompts and its exact match, with the option's index accepted only where it can mean nothing else."""

from __future__ import annotations

import json

import numpy as np
import pytest

from steering.errors import DataError
from steering.evaluate.baselines import blind, majority
from steering.evaluate.benchmarks.iconqa import ICONQA, ICONQA_INDEX

PROBLEMS = {
    "1": {"question": "How many cats are there? (_)", "choices": None, "answer": "3", "ques_type": "fill_in_blank"},
    "2": {"question": "Which?", "choices": ["cat", "dog", "bee"], "answer": "2", "ques_type": "choose_txt"},
    "3": {"question": "How many?", "choices": ["2", "3", "5"], "answer": "2", "ques_type": "choose_txt"},
    "4": {"question": "Which?", "choices": ["a.png"], "answer": "0", "ques_type": "choose_img"},
}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "problems.json").write_text(json.dumps(PROBLEMS))
    (tmp_path / "pid_splits.json").write_text(json.dumps({"test": ["1", "2", "3", "4"]}))
    return tmp_path


@pytest.fixture
def examples(root):
    return {example.id: example for example in ICONQA.examples(root, "test", None)}


def test_prompts_are_those_of_mores(examples):
    assert examples["1"].prompt == "How many cats are there? (_) Fill in the blanks in (_) or answer this question"
    assert examples["2"].prompt == (
        "Which? Choices: cat, dog, bee. Choose an option from the choices to answer the question."
    )
    assert examples["2"].image == "iconqa/test/choose_txt/2/image.png"


def test_choose_txt_teaches_the_text_and_takes_the_index_too(examples):
    assert (examples["2"].target, examples["2"].answers) == ("bee", ("bee", "2"))


def test_an_index_that_is_also_a_choice_says_that_choice(examples):
    assert examples["3"].answers == ("5",)
    assert ICONQA.outcome(examples["3"], "2") == {"correct": 0.0, "parsed": 1.0}


@pytest.mark.parametrize(
    ("pid", "answer", "correct", "parsed"),
    [
        ("1", " 3\n", 1, 1),
        ("1", "three", 0, 1),
        ("1", "3.", 0, 1),
        ("1", "", 0, 0),
        ("2", "bee", 1, 1),
        ("2", "2", 1, 1),
        ("2", "Bee", 0, 0),
        ("2", "bee.", 0, 0),
        ("2", "cat", 0, 1),
        ("2", "1", 0, 1),
        ("2", "3", 0, 0),
        ("2", "(C)", 0, 0),
        ("2", "пчела", 0, 0),
        ("2", "", 0, 0),
    ],
)
def test_golden_answer(examples, pid, answer, correct, parsed):
    assert ICONQA.outcome(examples[pid], answer) == {"correct": correct, "parsed": parsed}


def test_subsets_are_the_question_types_and_choose_img_is_left_out(root):
    assert [one.id for one in ICONQA.examples(root, "test", "fill_in_blank")] == ["1"]
    assert [one.id for one in ICONQA.examples(root, "test", "choose_txt")] == ["2", "3"]
    assert [one.id for one in ICONQA.examples(root, "test", None)] == ["1", "2", "3"]
    with pytest.raises(DataError, match="choose_img"):
        ICONQA.examples(root, "test", "choose_img")


def test_faults_are_named(root):
    with pytest.raises(DataError, match="field 'train' is missing; found test"):
        ICONQA.examples(root, "train", None)
    (root / "problems.json").write_text(json.dumps(PROBLEMS | {"2": PROBLEMS["2"] | {"answer": "3"}}))
    with pytest.raises(DataError, match="problems.json: 2: answer '3'; allowed is an index below 3"):
        ICONQA.examples(root, "test", None)


def test_accuracy_is_the_share_of_right_answers():
    outcomes = {"correct": np.array([1.0, 0, 0, 1]), "parsed": np.ones(4)}
    assert ICONQA.measure("accuracy", outcomes, np.array([[1.0, 1, 1, 1], [1, 1, 0, 0]])) == pytest.approx([0.5, 0.5])


def test_the_index_form_keeps_the_official_answer(root):
    kept = {one.id: one for one in ICONQA_INDEX.examples(root, "test", None)}
    assert (kept["2"].target, kept["2"].answers, kept["1"].target) == ("2", ("2",), "3")
    assert kept["2"].prompt == {one.id: one for one in ICONQA.examples(root, "test", None)}["2"].prompt


@pytest.mark.parametrize(
    ("pid", "answer", "correct", "parsed"),
    [
        ("1", "3", 1, 1),
        ("1", "3.", 0, 1),
        ("2", "2", 1, 1),
        ("2", " 2\n", 1, 1),
        ("2", "bee", 0, 1),
        ("2", "two", 0, 1),
        ("2", "(C)", 0, 1),
        ("3", "2", 1, 1),
        ("3", "5", 0, 1),
        ("2", "", 0, 0),
    ],
)
def test_golden_answer_of_the_index_form(root, pid, answer, correct, parsed):
    kept = {one.id: one for one in ICONQA_INDEX.examples(root, "test", None)}
    assert ICONQA_INDEX.outcome(kept[pid], answer) == {"correct": correct, "parsed": parsed}


def test_guessers_of_the_index_form_say_indices(root):
    train = ICONQA_INDEX.examples(root, "test", "choose_txt")
    assert majority(ICONQA_INDEX, train, train) == blind(ICONQA_INDEX, train, train) == ["2", "2"]
