"""MM-Vet's file, what its judge is asked, how a grade is read, and the mean by capability and capability set."""

from __future__ import annotations

import json
from fractions import Fraction
from random import Random

import numpy as np
import pytest

from steering.errors import DataError
from steering.evaluate.benchmarks.mmvet import CAPABILITIES, MMVET, read_grade
from steering.evaluate.judge import JudgePrompt, Verdict
from steering.evaluate.scoring import prediction_of, score

GRADES = {
    "0.5": 0.5,
    " 0.8": None,
    "1": 1.0,
    "1.0": 1.0,
    "0": 0.0,
    ".3": 0.3,
    "0.9.": None,
    "1.": 1.0,
    "1e-1": 0.1,
    "0.5, for": None,
    "0.5\nfor": None,
    "0.4 (partly)": 0.4,
    "0.4\n": 0.4,
    "0.4 |": 0.4,
    "1.1": None,
    "10": None,
    "-0.5": None,
    "1/3": None,
    "1,5": None,
    "1%": None,
    "0.5.3": None,
    "nan": None,
    "Score: 0.5": None,
    "half": None,
    "": None,
}


@pytest.mark.parametrize(("reply", "expected"), GRADES.items())
def test_golden_grade(reply, expected):
    assert read_grade(reply) == expected


def digit_by_digit(reply):
    """The published reading of short replies of digits, stops and blanks, without float."""
    word = reply.partition(" ")[0].strip()
    whole, stop, part = word.partition(".")
    if not (whole + part).isdecimal() or "." in part:
        return None
    value = Fraction(int(whole + part), 10 ** len(part))
    return float(value) if value <= 1 else None


def test_reading_agrees_with_a_second_one_on_random_replies():
    random, seen = Random(0), 0
    for reply in ("".join(random.choices("0015.9 /x|\n", k=random.randint(1, 5))) for _ in range(5000)):
        seen += read_grade(reply) is not None
        assert read_grade(reply) == digit_by_digit(reply), reply
    assert seen > 500


PROMPT = JudgePrompt("Grade it.\n\nq | t | p | c", "abc")


@pytest.fixture
def root(tmp_path):
    rows = {
        "v1_0": {
            "imagename": "v1_0.png",
            "question": "What is x?",
            "answer": "-1<AND>-5",
            "capability": ["math", "ocr"],
        },
        "v1_1": {"imagename": "v1_1.jpg", "question": "Who?", "answer": "a<OR>b", "capability": ["rec"]},
        "v1_2": {"imagename": "v1_2.jpg", "question": "Who else?", "answer": "c", "capability": ["rec", "ocr"]},
    }
    (tmp_path / "mm-vet.json").write_text(json.dumps(rows))
    return tmp_path


def test_rows_become_examples(root):
    first, *_ = MMVET.examples(root, "test")
    assert (first.id, first.image, first.prompt) == ("v1_0", "images/v1_0.png", "What is x?")
    assert (first.target, first.category) == ("-1<AND>-5", "ocr,math")
    assert [one.id for one in MMVET.examples(root, "test", "rec")] == ["v1_1", "v1_2"]


def test_the_judge_reads_the_prompt_and_one_row_of_the_table(root):
    first, *_ = MMVET.examples(root, "test")
    (asked,) = MMVET.questions([(first, "x = 3 | y")], PROMPT)
    assert asked.prompt == "Grade it.\n\nq | t | p | c\n\nWhat is x? | -1 <AND> -5 | x = 3 | y | "
    assert (asked.id, asked.prediction, asked.parameters) == ("v1_0", "x = 3 | y", {"max_tokens": 3})
    assert asked.temperatures == (0.0, 0.0, 0.5, 1.0, 1.5)
    assert asked.again == "\nPredict the correctness of the answer (digit): "


def answered(root):
    return [(example, f"answer {example.id}") for example in MMVET.examples(root, "test")]


def verdicts(*grades):
    return {f"v1_{n}": Verdict(grade, str(grade), "", "gpt", "2026-01-02") for n, grade in enumerate(grades)}


def test_without_a_judge_there_is_no_score(root):
    example, said = answered(root)[0]
    with pytest.raises(DataError, match="v1_0: not scored: this answer has no judge's grade"):
        MMVET.outcome(example, said)


def test_one_missing_grade_leaves_the_whole_unscored(root):
    failed = {**verdicts(1.0, 0.5), "v1_2": Verdict(None, "", "HTTP 401: the key is refused")}
    with pytest.raises(DataError, match=r"not scored: 1 of 3 answers have no verdict, first v1_2: HTTP 401"):
        MMVET.judged(answered(root), failed, PROMPT.sha256)


def test_a_grade_belongs_to_the_answer_that_was_judged(root):
    pairs = answered(root)
    form = MMVET.judged(pairs, verdicts(1.0, 0.5, 0.0), PROMPT.sha256)
    assert form.outcome(*pairs[1])["correct"] == 0.5
    with pytest.raises(DataError, match="not scored"):
        form.outcome(pairs[1][0], "another answer")


def test_a_grade_of_zero_is_a_score(root):
    pairs = answered(root)
    assert MMVET.judged(pairs, verdicts(0.0, 0.0, 0.0), PROMPT.sha256).outcome(*pairs[0])["correct"] == 0


def test_score_is_the_mean_by_capability_and_by_capability_set(root):
    pairs = answered(root)
    form = MMVET.judged(pairs, verdicts(1.0, 0.5, 0.0), PROMPT.sha256)
    found = score(form, [prediction_of(one, group=one.id, answer=said) for one, said in pairs], resamples=20)
    values = {name: metric["value"] for name, metric in found["metrics"].items()}
    assert values == {
        "score": 0.5,
        "score_rec": 0.25,
        "score_ocr": 0.5,
        "score_math": 1.0,
        "score_know": None,
        "score_gen": None,
        "score_spat": None,
        "score_only_ocr_math": 1.0,
        "score_only_rec": 0.5,
        "score_only_rec_ocr": 0.0,
    }
    assert found["protocol"]["judge"] == "gpt"
    assert found["protocol"]["judged"] == "2026-01-02"
    assert found["protocol"]["judge prompt"] == "sha256 abc"


def test_whole_weights_are_questions_that_come_more_often(root):
    pairs = answered(root)
    form = MMVET.judged(pairs, verdicts(0.9, 0.5, 0.1), PROMPT.sha256)
    rows = [form.outcome(one, said) for one, said in pairs]
    outcomes = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    weights = np.array([3, 0, 2])
    longer = {name: np.repeat(column, weights) for name, column in outcomes.items()}
    for name in form.metrics:
        often = form.measure(name, outcomes, weights.astype(float))
        assert often == pytest.approx(form.measure(name, longer, np.ones(5)), nan_ok=True)


def test_faults_name_the_question(root):
    with pytest.raises(DataError, match="split 'val' is unknown; it has test"):
        MMVET.examples(root, "val")
    row = {"imagename": "a.png", "question": "q", "answer": "a", "capability": ["recs"]}
    (root / "mm-vet.json").write_text(json.dumps({"v1_9": row}))
    with pytest.raises(DataError, match="v1_9: capability 'recs'; allowed are rec, ocr, .* mean rec"):
        MMVET.examples(root, "test")
    (root / "mm-vet.json").write_text(json.dumps({"v1_9": {**row, "capability": []}}))
    with pytest.raises(DataError, match="capability none"):
        MMVET.examples(root, "test")
    assert len(CAPABILITIES) == 6
