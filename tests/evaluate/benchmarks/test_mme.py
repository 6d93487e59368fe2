"""MME's four letters, its pairs of questions, and its sums, also under the weights of a bootstrap."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from steering.errors import DataError
from steering.evaluate.benchmarks.mme import COGNITION, MME, PERCEPTION, TASKS, group_number, read_prefix
from steering.evaluate.scoring import prediction_of, score

GOLDEN = {
    "Yes": "yes",
    "yes.": "yes",
    "No.": "no",
    "NO": "no",
    "No, it is not": "no",
    "Not": "no",
    "Nope": "no",
    "isnt": None,
    "I know": None,
    " \n Yes": "yes",
    "A yes": None,
    "(no)": "no",
    "yno": "no",
    "(A)": None,
    "The answer is yes.": None,
    "是": None,
    "нет": None,
    "": None,
}


@pytest.mark.parametrize(("answer", "expected"), GOLDEN.items())
def test_golden_answer(answer, expected):
    assert read_prefix(answer) == expected


def write(root, *, pictures=2, tasks=TASKS):
    (root / "test").mkdir(exist_ok=True)
    for task in tasks:
        lines = [
            f"{n}.jpg\tIs there a {thing}? Please answer yes or no.\t{truth}\n"
            for n in range(pictures)
            for thing, truth in (("cat", "Yes"), ("dog", "No"))
        ]
        (root / "test" / f"{task}.txt").write_text("".join(lines))
    return root


def columns(examples, answers):
    rows = [MME.outcome(example, said) for example, said in zip(examples, answers, strict=True)]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def test_task_files_become_examples(tmp_path):
    examples = MME.examples(write(tmp_path), "test")
    assert len(examples) == 14 * 4
    assert [one.id for one in examples[:3]] == ["existence/1/1", "existence/1/2", "existence/2/1"]
    assert (examples[1].image, examples[1].target, examples[1].category) == ("existence/0.jpg", "no", "existence")
    assert examples[0].prompt == "Is there a cat?\nAnswer the question using a single word or phrase."
    assert {one.category for one in MME.examples(tmp_path, "test", "OCR")} == {"OCR"}


def test_a_column_of_predictions_is_ignored(tmp_path):
    write(tmp_path)
    (tmp_path / "test" / "OCR.txt").write_text("a.jpg\tq1?\tYes\tNo\r\na.jpg\tq2?\tNo\t\r\n")
    assert [one.target for one in MME.examples(tmp_path, "test", "OCR")] == ["yes", "no"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a.jpg\tq?\n", "OCR.txt:1: 2 columns; allowed are 3 or 4"),
        ("a.jpg\tq?\tMaybe\n", "OCR.txt:1: answer 'Maybe'; allowed are Yes and No"),
        ("a.jpg\tq?\tYes\nb.jpg\tq?\tNo\n", "OCR.txt:1: OCR/a.jpg has no second question in the next line"),
        ("a.jpg\tq?\tYes\na.jpg\tq?\tNo\nb.jpg\tq?\tNo\n", "OCR.txt:3: OCR/b.jpg has no second"),
    ],
)
def test_faults_are_named(tmp_path, text, fault):
    write(tmp_path)
    (tmp_path / "test" / "OCR.txt").write_text(text)
    with pytest.raises(DataError, match=fault):
        MME.examples(tmp_path, "test", "OCR")


def test_acc_plus_takes_both_questions_of_a_picture(tmp_path):
    examples = MME.examples(write(tmp_path), "test", "count")
    outcomes = columns(examples, ["Yes", "No", "Yes", "Yes"])
    values = [float(MME.measure(f"{kind}_count", outcomes, np.ones(4))) for kind in ("acc", "acc_plus", "score")]
    assert values == pytest.approx([3 / 4, 1 / 2, 5 / 4])
    assert np.isnan(MME.measure("perception", outcomes, np.ones(4)))


def test_a_pair_that_was_not_asked_whole_counts_in_acc_alone(tmp_path):
    examples = MME.examples(write(tmp_path), "test", "count")[:3]
    outcomes = columns(examples, ["Yes", "Yes", "Yes"])
    assert MME.measure("acc_count", outcomes, np.ones(3)) == pytest.approx(2 / 3)
    assert MME.measure("acc_plus_count", outcomes, np.ones(3)) == 0


def official(lines):
    """Points of each task from (task, truth, answer) lines, two by two, as calculation.py adds them."""
    points = {}
    for task in TASKS:
        own = [(truth, said.lower()) for name, truth, said in lines if name == task]
        hits = [truth in said[:4] and not (truth == "no" and "yes" in said[:4]) for truth, said in own]
        both = [hits[n] and hits[n + 1] for n in range(0, len(hits), 2)]
        points[task] = 100 * sum(hits) / len(hits) + 100 * sum(both) / len(both)
    return points


def random_answers(count):
    chance = random.Random(0)
    said = ["Yes", "No", "yes, it is", "no.", "Unknown", "", "(yes)", "I cannot", "yno", "нет"]
    return [chance.choice(said) for _ in range(count)]


def test_points_agree_with_pairs_of_lines_on_random_answers(tmp_path):
    examples = MME.examples(write(tmp_path, pictures=15), "test")
    answers = random_answers(len(examples))
    outcomes = columns(examples, answers)
    lines = [(one.category, one.target, said) for one, said in zip(examples, answers, strict=True)]
    points = official(lines)
    for task in TASKS:
        assert 100 * MME.measure(f"score_{task}", outcomes, np.ones(len(examples))) == pytest.approx(points[task])
    for name, tasks in (("perception", PERCEPTION), ("cognition", COGNITION)):
        total = sum(points[task] for task in tasks)
        assert 100 * MME.measure(name, outcomes, np.ones(len(examples))) == pytest.approx(total)


def test_a_weight_of_a_picture_is_a_repetition_of_its_pair(tmp_path):
    examples = MME.examples(write(tmp_path, pictures=6), "test")
    outcomes = columns(examples, random_answers(len(examples)))
    chance = np.random.default_rng(0)
    weights = np.repeat(chance.integers(1, 4, size=len(examples) // 2), 2).astype(float)
    copies = [(n, copy) for n in range(len(examples)) for copy in range(int(weights[n]))]
    repeated = {name: np.array([column[n] for n, _ in copies]) for name, column in outcomes.items()}
    repeated["pair"] = np.array([group_number(f"{outcomes['pair'][n]}/{copy}") for n, copy in copies])
    for name in MME.metrics:
        by_weight = MME.measure(name, outcomes, np.stack([weights, 2 * weights]))
        assert by_weight == pytest.approx(np.full(2, MME.measure(name, repeated, np.ones(len(copies)))))


def test_pairs_survive_the_way_through_a_score_file(tmp_path):
    examples = MME.examples(write(tmp_path), "test")
    said = ["Yes", "No", "Yes", "Yes"] * 14
    rows = [prediction_of(one, group=str(one.image), answer=a) for one, a in zip(examples, said, strict=True)]
    found = json.loads(json.dumps(score(MME, rows, resamples=20)))
    assert found["metrics"]["perception"]["value"] == pytest.approx(10 * 1.25)
    assert found["metrics"]["cognition"]["value"] == pytest.approx(4 * 1.25)
    again = {name: np.array(found["outcomes"][name]) for name in ("correct", "task", "pair")}
    assert MME.measure("perception", again, np.ones(len(rows))) == pytest.approx(10 * 1.25)


def test_the_most_of_each_metric_is_what_right_answers_reach(tmp_path):
    examples = MME.examples(write(tmp_path), "test")
    outcomes = columns(examples, [one.target for one in examples])
    for name in MME.metrics:
        assert MME.measure(name, outcomes, np.ones(len(examples))) == pytest.approx(MME.top(name))
