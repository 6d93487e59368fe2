"""TextVQA with and without OCR tokens: LLaVA's lines find their references, and its table of scores agrees."""

from __future__ import annotations

import json
import random
from collections import Counter

import numpy as np
import pytest

from steering.errors import DataError
from steering.evaluate.benchmarks.form import Example
from steering.evaluate.benchmarks.textvqa import TEXTVQA, TEXTVQA_OCR, question_of
from steering.evaluate.normalise import normalise

SHORT = "Answer the question using a single word or phrase."


def note(number, question, answers, image_id="00a"):
    return {"question_id": number, "image_id": image_id, "question": question, "answers": answers, "image_width": 3}


def line(question, tokens="DAKOTA, 1,000", image_id="00a"):
    text = f"{question}\nReference OCR token: {tokens}\n{SHORT}"
    return {"question_id": image_id, "image": f"{image_id}.jpg", "text": text, "category": "default"}


def write(root, notes, lines):
    (root / "TextVQA_0.5.1_val.json").write_text(json.dumps({"data": notes}))
    (root / "llava_textvqa_val_v051_ocr.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))


def test_without_tokens_the_question_is_asked_alone(tmp_path):
    write(tmp_path, [note(34602, "What brand is it?", ["dakota"] * 6 + ["clos"] * 4)], [])
    (one,) = TEXTVQA.examples(tmp_path, "val")
    assert (one.id, one.image, one.prompt) == ("34602", "00a.jpg", f"What brand is it?\n{SHORT}")
    assert (one.target, len(one.answers)) == ("dakota", 10)


def test_llavas_lines_are_matched_by_picture_and_lower_cased_question(tmp_path):
    notes = [
        note(1, "What Brand?", ["a"] * 10),
        note(2, "what year?", ["b"] * 10),
        note(3, "What brand?", ["c"] * 10, "9"),
    ]
    lines = [line("what brand?", image_id="9"), line("What year?"), line("what brand?")]
    write(tmp_path, notes, lines)
    found = TEXTVQA_OCR.examples(tmp_path, "val")
    assert [(one.id, one.answers[0]) for one in found] == [("3", "c"), ("2", "b"), ("1", "a")]
    assert found[0].prompt == f"what brand?\nReference OCR token: DAKOTA, 1,000\n{SHORT}"
    assert "OCR tokens in the prompt" in TEXTVQA_OCR.protocol["ocr"]


def test_of_two_questions_with_one_key_the_last_has_the_references_and_each_its_id(tmp_path):
    write(tmp_path, [note(1, "What?", ["a"] * 10), note(2, "what?", ["b"] * 10)], [line("What?"), line("what?")])
    assert [(one.id, one.answers[0]) for one in TEXTVQA_OCR.examples(tmp_path, "val")] == [("1", "b"), ("2", "b")]


@pytest.mark.parametrize(
    "prompt",
    [f"q?\nReference OCR token: a\n{SHORT}", f"Reference OCR token: a\nq?\n{SHORT}", f"q?\n{SHORT}"],
)
def test_the_question_is_found_in_every_shape_of_prompt(prompt):
    assert question_of(prompt) == "q?"


def test_faults_are_named(tmp_path):
    write(tmp_path, [note(1, "What?", ["a"] * 10)], [line("Why?")])
    with pytest.raises(DataError, match=r"ocr\.jsonl:1: picture 00a has 0 questions 'why\?'"):
        TEXTVQA_OCR.examples(tmp_path, "val")
    write(tmp_path, [note(1, "What?", ["a"] * 10)], [line("What?") | {"text": "What?"}])
    with pytest.raises(DataError, match=r"ocr\.jsonl:1: a prompt of 1 lines"):
        TEXTVQA_OCR.examples(tmp_path, "val")
    write(tmp_path, [note(1, "What?", ["a"] * 9)], [])
    with pytest.raises(DataError, match="question 1 has 9 answers; VQA accuracy takes 10"):
        TEXTVQA.examples(tmp_path, "val")
    with pytest.raises(DataError, match="textvqa: subset 'ocr' is unknown; it has none"):
        TEXTVQA.examples(tmp_path, "val", "ocr")


def asked(references):
    return Example("1", "a.jpg", "p", "", tuple(references), question="q")


@pytest.mark.parametrize(
    ("answer", "correct", "parsed"),
    [
        ("1,000", 1, 1),
        ("1000.", 1, 1),
        ("isnt", 0.9, 1),
        ("Isn't", 0.9, 1),
        ("two", 0.6, 1),
        ("2", 0.6, 1),
        ("The 2.", 0.6, 1),
        ("(A)", 0, 1),
        ("кот", 0.3, 1),
        ("Кот.", 0.3, 1),
        ("", 0, 0),
    ],
)
def test_golden_answer(answer, correct, parsed):
    references = ["1,000"] * 4 + ["isn't"] * 3 + ["two", "2"] + ["кот"]
    assert TEXTVQA.outcome(asked(references), answer) == pytest.approx({"correct": correct, "parsed": parsed})


def table(references):
    """LLaVA's way: the score of every distinct answer by leaving each reference out."""
    clean = [normalise(one) for one in references]
    scores = {}
    for distinct in set(clean):
        others = [Counter(clean[:left_out] + clean[left_out + 1 :])[distinct] for left_out in range(len(clean))]
        scores[distinct] = sum(min(1.0, count / 3) for count in others) / len(clean)
    return scores


def test_agrees_with_the_table_of_distinct_answers_on_random_answers():
    chance = random.Random(0)
    words = ["two", "2", "TWO.", "the cat", "cat", "a cat", "isnt", "isn't", "1,000", "1000", "3.5", "東京", "u.s.a."]
    pairs = [(chance.choice(words), chance.choices(chance.sample(words, 5), k=10)) for _ in range(400)]
    expected = [table(references).get(normalise(said), 0.0) for said, references in pairs]
    found = [TEXTVQA.outcome(asked(references), said)["correct"] for said, references in pairs]
    assert found == pytest.approx(expected)
    accuracy = TEXTVQA.measure("accuracy", {"correct": np.array(found)}, np.ones(len(found)))
    assert accuracy == pytest.approx(sum(expected) / len(expected))
