"""What is sent to a test server: every id it asks for, answers normalised as LLaVA sends them."""

from __future__ import annotations

import pytest

from steering.errors import DataError
from steering.evaluate.benchmarks import submission


def said(**answers):
    return [{"id": number, "answer": answer} for number, answer in answers.items()]


def test_vqav2_has_every_test_id_in_order_and_an_empty_answer_where_none_was_given():
    predictions = [{"id": "2", "answer": "The Two."}, {"id": "3", "answer": "isnt"}]
    assert submission.vqav2(predictions, ["3", "1", "2"]) == [
        {"question_id": 3, "answer": "isn't"},
        {"question_id": 1, "answer": ""},
        {"question_id": 2, "answer": "2"},
    ]


def test_vqav2_refuses_strange_repeated_and_wordy_ids():
    with pytest.raises(DataError, match="1 ids are not of this test split, first x"):
        submission.vqav2(said(x="yes"), ["1"])
    with pytest.raises(DataError, match="1 ids come more than once"):
        submission.vqav2([*said(x="yes"), *said(x="no")], ["x"])
    with pytest.raises(DataError, match="question_id 'x'; VQAv2 has whole numbers"):
        submission.vqav2(said(x="yes"), ["x"])


def test_vizwiz_takes_an_answer_for_every_picture():
    predictions = [{"id": "a.jpg", "answer": "Unanswerable."}, {"id": "b.jpg", "answer": "1,000 cans"}]
    assert submission.vizwiz(predictions, ["b.jpg", "a.jpg"]) == [
        {"image": "b.jpg", "answer": "1000 cans"},
        {"image": "a.jpg", "answer": "unanswerable"},
    ]
    with pytest.raises(DataError, match="1 of 3 pictures have none, first c.jpg"):
        submission.vizwiz(predictions, ["a.jpg", "b.jpg", "c.jpg"])


def test_gqa_answers_lose_their_full_stops_and_case():
    assert submission.gqa(said(q1="Yes.", q2=" Dining Table")) == [
        {"questionId": "q1", "prediction": "yes"},
        {"questionId": "q2", "prediction": "dining table"},
    ]


def test_mme_lines_stand_two_by_two_in_the_order_of_the_task_file():
    def record(number, answer, target="yes"):
        return {"id": f"OCR/{number}", "image": "OCR/a.jpg", "question": "q?", "target": target, "answer": answer}

    predictions = [record("10/1", "x"), record("2/2", "No\tnot\n", "no"), record("2/1", "Yes")]
    assert submission.mme(predictions) == {
        "OCR": "a.jpg\tq?\tYes\tYes\na.jpg\tq?\tNo\tNo not\na.jpg\tq?\tYes\tx\n",
    }
