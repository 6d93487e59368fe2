"""VizWiz: LLaVA's prompt, accuracy with and without an answer to be had, and a test split for submission."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from steering.errors import DataError
from steering.evaluate.benchmarks.form import Example
from steering.evaluate.benchmarks.vizwiz import VIZWIZ
from steering.evaluate.normalise import normalise


def row(name, answers, **changes):
    given = [{"answer": one, "answer_confidence": "yes"} for one in answers]
    kinds = {"answer_type": "other", "answerable": 1}
    return {"image": name, "question": " What is it? ", "answers": given, **kinds, **changes}


def write(root, rows, split="val"):
    (root / f"{split}.json").write_text(json.dumps(rows))
    return root


def test_prompt_is_llavas(tmp_path):
    (one,) = VIZWIZ.examples(write(tmp_path, [row("VizWiz_val_00000000.jpg", ["beer"] * 10)]), "val")
    assert one.prompt == (
        "What is it?\nWhen the provided information is insufficient, respond with 'Unanswerable'.\n"
        "Answer the question using a single word or phrase."
    )
    assert (one.id, one.image, one.target) == ("VizWiz_val_00000000.jpg", "VizWiz_val_00000000.jpg", "beer")


@pytest.mark.parametrize(
    ("answer", "correct", "parsed"),
    [
        ("Unanswerable", 1, 1),
        ("unanswerable.", 1, 1),
        ("unsuitable", 0, 1),
        ("two", 0.6, 1),
        ("2", 0.6, 1),
        ("a 2", 0.6, 1),
        ("isnt", 0.9, 1),
        ("1000", 0.3, 1),
        ("(A)", 0, 1),
        ("não", 0, 1),
        ("", 0, 0),
    ],
)
def test_golden_answer(answer, correct, parsed):
    references = ("unanswerable",) * 4 + ("two", "2", "isn't", "isnt", "isn't", "1,000")
    found = VIZWIZ.outcome(Example("1", "a.jpg", "p", "", references, category="answerable"), answer)
    assert found == pytest.approx({"correct": correct, "parsed": parsed, "answerable": 1, "unanswerable": 0})


def test_accuracy_is_also_given_for_what_can_and_cannot_be_answered(tmp_path):
    rows = [row("a.jpg", ["beer"] * 10), row("b.jpg", ["unanswerable"] * 10, answerable=0), row("c.jpg", ["x"] * 10)]
    examples = VIZWIZ.examples(write(tmp_path, rows), "val")
    found = [VIZWIZ.outcome(one, said) for one, said in zip(examples, ["beer", "Unanswerable", "y"], strict=True)]
    outcomes = {name: np.array([one[name] for one in found]) for name in found[0]}
    values = {name: float(VIZWIZ.measure(name, outcomes, np.ones(3))) for name in VIZWIZ.metrics}
    assert values == pytest.approx({"accuracy": 2 / 3, "accuracy_unanswerable": 1, "accuracy_answerable": 0.5})
    assert [one.id for one in VIZWIZ.examples(tmp_path, "val", "unanswerable")] == ["b.jpg"]


def test_the_test_split_is_asked_and_not_scored(tmp_path):
    write(tmp_path, [{"image": "VizWiz_test_00000000.jpg", "question": "What is it?"}], "test")
    (one,) = VIZWIZ.examples(tmp_path, "test")
    with pytest.raises(DataError, match="no references"):
        VIZWIZ.outcome(one, "beer")


def test_faults_are_named(tmp_path):
    with pytest.raises(DataError, match=r"val\.json: row 1 has 9 answers"):
        VIZWIZ.examples(write(tmp_path, [row("a.jpg", ["x"] * 9)]), "val")
    with pytest.raises(DataError, match="row 1: answerable 2; allowed are 0 and 1"):
        VIZWIZ.examples(write(tmp_path, [row("a.jpg", ["x"] * 10, answerable=2)]), "val")
    with pytest.raises(DataError, match="a dict; allowed is a list"):
        VIZWIZ.examples(write(tmp_path, {}), "val")
    with pytest.raises(DataError, match="did you mean answerable"):
        VIZWIZ.examples(write(tmp_path, []), "val", "answerabl")


def test_agrees_with_leaving_each_reference_out_on_random_answers():
    chance = random.Random(0)
    words = ["unanswerable", "Unanswerable.", "two", "2", "the can", "can", "1,000", "1000", "isnt", "isn't"]
    for _ in range(300):
        references, said = tuple(chance.choices(words, k=10)), chance.choice(words)
        hits = [normalise(one) == normalise(said) for one in references]
        expected = np.mean([min(3, sum(hits) - hit) / 3 for hit in hits])
        assert VIZWIZ.outcome(Example("1", "a", "p", "", references), said)["correct"] == pytest.approx(expected)
