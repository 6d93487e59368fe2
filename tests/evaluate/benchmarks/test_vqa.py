"""VQA accuracy agrees with leaving each reference out by hand; files in the VQA v2 format are read or refused."""

from __future__ import annotations

import json
import random
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steering.errors import DataError
from steering.evaluate.benchmarks import FORMS
from steering.evaluate.benchmarks.vqa import VQA, VQAV2, vqa_accuracy
from steering.evaluate.likelihood import LikelihoodForm
from steering.evaluate.normalise import normalise


def by_hand(answer, references):
    """The definition: every nine of the ten references, min(1, matches / 3), averaged."""
    said = normalise(answer)
    scores = [min(1, sum(normalise(one) == said for one in nine) / 3) for nine in combinations(references, 9)]
    return sum(scores) / len(scores)


@pytest.mark.parametrize(("matches", "expected"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (10, 1)])
def test_accuracy_by_number_of_matches(matches, expected):
    assert vqa_accuracy("cat", ("cat",) * matches + ("dog",) * (10 - matches)) == pytest.approx(expected)


@given(st.lists(st.sampled_from(["two", "2", "The 2", "isnt", "isn't", "1,000", "cat."]), min_size=10, max_size=10))
def test_accuracy_agrees_with_leaving_each_reference_out(references):
    for answer in ("2", "isn't", "1000", "cat", "dog", ""):
        assert vqa_accuracy(answer, tuple(references)) == pytest.approx(by_hand(answer, references))


def write(root, *, answers=10, annotated=True):
    questions = [
        {"image_id": 7, "question": " What shape is it? ", "question_id": 70},
        {"image_id": 7, "question": "Is it red?", "question_id": 71},
    ]
    given_ = [{"answer": "circle", "answer_confidence": "yes", "answer_id": k} for k in range(answers)]
    notes = [
        {"question_type": "shape", "answer_type": "other", "multiple_choice_answer": "circle", "answers": given_},
        {"question_type": "is it", "answer_type": "yes/no", "multiple_choice_answer": "yes", "answers": given_},
    ]
    notes = [{"question_id": 70 + k, "image_id": 7, **note} for k, note in enumerate(notes)][: 2 if annotated else 1]
    (root / "test_questions.json").write_text(json.dumps({"questions": questions}))
    (root / "test_annotations.json").write_text(json.dumps({"annotations": notes}))


def test_files_become_examples(tmp_path):
    write(tmp_path)
    first = VQA.examples(tmp_path, "test", None)[0]
    assert (first.id, first.image, first.target, first.category) == ("70", "test/7.png", "circle", "shape")
    assert first.prompt == "What shape is it?\nAnswer the question using a single word or phrase."
    assert first.question == "What shape is it?"
    assert first.answers == ("circle",) * 10


@pytest.mark.parametrize(("subset", "ids"), [(None, ["70", "71"]), ("shape", ["70"]), ("yes/no", ["71"])])
def test_subset_is_a_question_or_answer_type(tmp_path, subset, ids):
    write(tmp_path)
    assert [example.id for example in VQA.examples(tmp_path, "test", subset)] == ids


def test_unknown_subset_names_the_allowed(tmp_path):
    write(tmp_path)
    with pytest.raises(DataError, match="shapes.*is it, other, shape, yes/no.*did you mean shape"):
        VQA.examples(tmp_path, "test", "shapes")


def test_nine_references_are_refused(tmp_path):
    write(tmp_path, answers=9)
    with pytest.raises(DataError, match="question 70 has 9 answers; VQA accuracy takes 10"):
        VQA.examples(tmp_path, "test", None)


def test_a_question_without_annotation_is_refused(tmp_path):
    write(tmp_path, annotated=False)
    with pytest.raises(DataError, match="question 71 has no annotation"):
        VQA.examples(tmp_path, "test", None)


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"test_questions\.json: not found"):
        VQA.examples(tmp_path, "test", None)
    (tmp_path / "test_questions.json").write_text('{\n"questions": [,]}')
    with pytest.raises(DataError, match="line 2: broken JSON"):
        VQA.examples(tmp_path, "test", None)


def test_an_empty_answer_is_unparsed(tmp_path):
    write(tmp_path)
    example = VQA.examples(tmp_path, "test", None)[0]
    assert VQA.outcome(example, " \n") == {"correct": 0.0, "parsed": 0.0}
    assert VQA.outcome(example, "A circle.") == {"correct": 1.0, "parsed": 1.0}


def test_accuracy_is_the_weighted_mean_over_any_leading_axes():
    outcomes = {"correct": np.array([0.0, 0.3, 1.0]), "parsed": np.ones(3)}
    weights = np.array([[[1.0, 1, 1], [0, 0, 2]], [[3, 0, 0], [0, 0, 0]]])
    measured = VQA.measure("accuracy", outcomes, weights)
    assert measured == pytest.approx(np.array([[1.3 / 3, 1], [0, np.nan]]), nan_ok=True)


def test_accuracy_agrees_with_leaving_out_on_random_answers():
    chance = random.Random(0)
    words = ["two", "2", "2.", "the cat", "cat", "a cat.", "isnt", "isn't", "1,000", "1000", "", "кот", "(b)", "b"]
    for _ in range(300):
        references = tuple(chance.choices(chance.sample(words, 4), k=10))
        said = chance.choice(words)
        assert vqa_accuracy(said, references) == pytest.approx(by_hand(said, references))


def write_official(root):
    write(root)
    for old, new in (
        ("test_questions.json", "v2_OpenEnded_mscoco_val2014_questions.json"),
        ("test_annotations.json", "v2_mscoco_val2014_annotations.json"),
    ):
        (root / old).rename(root / new)


def test_official_files_are_read_under_their_names_and_pictures_under_cocos(tmp_path):
    write_official(tmp_path)
    first, second = VQAV2.examples(tmp_path, "val")
    assert (first.id, first.image, first.category) == ("70", "COCO_val2014_000000000007.jpg", "other")
    assert (second.category, second.prompt.split("\n")[0]) == ("yes/no", "Is it red?")
    assert [one.id for one in VQAV2.examples(tmp_path, "val", "yes/no")] == ["71"]


def test_accuracy_is_also_given_by_answer_type(tmp_path):
    write_official(tmp_path)
    rows = [
        VQAV2.outcome(one, said) for one, said in zip(VQAV2.examples(tmp_path, "val"), ["circle", "no"], strict=True)
    ]
    outcomes = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    found = {name: float(VQAV2.measure(name, outcomes, np.ones(2))) for name in VQAV2.metrics}
    assert found == pytest.approx(
        {"accuracy": 0.5, "accuracy_yes_no": 0, "accuracy_number": np.nan, "accuracy_other": 1}, nan_ok=True
    )


def test_test_dev_is_asked_and_not_scored(tmp_path):
    text = "Is it red?\nAnswer the question using a single word or phrase."
    row = {"question_id": 5, "image": "COCO_test2015_000000000001.jpg", "text": text, "category": "default"}
    (tmp_path / "llava_vqav2_mscoco_test-dev2015.jsonl").write_text(json.dumps(row) + "\n")
    (one,) = VQAV2.examples(tmp_path, "test-dev")
    assert (one.id, one.image, one.prompt, one.question) == ("5", row["image"], text, "Is it red?")
    with pytest.raises(DataError, match="question 5: no references; its answers are on the test server"):
        VQAV2.outcome(one, "yes")
    with pytest.raises(DataError, match="test-dev: subset 'other' is unknown; it has none"):
        VQAV2.examples(tmp_path, "test-dev", "other")


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_registered_under_its_name(name):
    form = FORMS[name]
    assert form.name == name
    assert form.metric in form.metrics
    assert form.version >= 1
    weighed = isinstance(form, LikelihoodForm)
    assert form.protocol["decoding"].startswith("log-likelihood" if weighed else "generation")
    assert (form.max_new_tokens == 0) is weighed
