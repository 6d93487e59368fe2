"""HallusionBench without a judge: yes/no words, what counts as right without a picture, and its groups."""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict

import numpy as np
import pytest

from steering.errors import DataError
from steering.evaluate.benchmarks.hallusion import HALLUSION, read_yes_no
from steering.evaluate.benchmarks.mme import group_number
from steering.evaluate.judge import JudgePrompt, Verdict

GOLDEN = {
    "Yes": "yes",
    "yes.": "yes",
    "Yes, it is.": "yes",
    "No.": "no",
    "(no)": "no",
    "No, yes": None,
    "yes/no": None,
    "not": None,
    "isnt": None,
    "I know": None,
    "no-one": "no",
    "yes-no - yes": "yes",
    "yes: it is": None,
    "In 1,000 cases, no": "no",
    "The answer is yes.": "yes",
    "yes.no": None,
    "3.5 no": "no",
    "(A)": None,
    "two": None,
    "2": None,
    "是": None,
    "": None,
}


@pytest.mark.parametrize(("answer", "expected"), GOLDEN.items())
def test_golden_answer(answer, expected):
    assert read_yes_no(answer) == expected


def row(category="VD", visual="1", figure="0", *, number="0", question="0", truth="1", subcategory="chart"):
    bare = category == "VS" and figure == "0"
    return {
        "category": category,
        "subcategory": subcategory,
        "visual_input": visual,
        "set_id": number,
        "figure_id": figure,
        "sample_note": "",
        "question_id": question,
        "question": "Is it so?",
        "gt_answer_details": "",
        "gt_answer": truth,
        "filename": None if bare else f"./{category}/{subcategory}/{number}_{figure}.png",
    }


def write(root, rows):
    (root / "HallusionBench.json").write_text(json.dumps(rows))
    return root


def columns(examples, answers):
    found = [HALLUSION.outcome(example, said) for example, said in zip(examples, answers, strict=True)]
    return {name: np.array([one[name] for one in found]) for name in found[0]}


def test_rows_become_examples(tmp_path):
    rows = [row("VS", "0", "0", truth="0"), row("VS", "1", "1", number="3", question="2")]
    bare, pictured = HALLUSION.examples(write(tmp_path, rows), "test")
    assert (bare.id, bare.image, bare.target, bare.category) == ("0/VS/chart/0/0/0", None, "no", "VS/0")
    assert (pictured.id, pictured.image) == ("1/VS/chart/3/1/2", "VS/chart/3_1.png")
    assert pictured.prompt == "Is it so?\nAnswer the question using a single word or phrase."
    assert HALLUSION.cluster(pictured) == "VS/chart/3"


@pytest.mark.parametrize(
    ("said", "with_picture", "without", "parsed"),
    [
        ("yes", 1, 1, 1),
        ("no", 0, 0, 1),
        ("I cannot tell", 0, 1, 0),
        ("不知道", 0, 1, 0),
        ("", 0, 0, 0),
        ("...", 0, 0, 0),
    ],
)
def test_not_to_know_is_right_only_for_vs_without_a_picture(tmp_path, said, with_picture, without, parsed):
    rows = [row("VD", "1", "0"), row("VS", "1", "1"), row("VS", "0", "0")]
    found = [HALLUSION.outcome(one, said) for one in HALLUSION.examples(write(tmp_path, rows), "test")]
    assert [one["correct"] for one in found] == [with_picture, with_picture, without]
    assert {one["parsed"] for one in found} == {parsed}


def test_figure_0_of_vs_is_no_figure_but_stands_in_its_pair(tmp_path):
    rows = [row("VS", "0", "0"), row("VS", "1", "1"), row("VS", "2", "2")]
    examples = HALLUSION.examples(write(tmp_path, rows), "test")
    values = {}
    for said in ("no yes yes", "yes yes no"):
        outcomes = columns(examples, said.split())
        values[said] = [float(HALLUSION.measure(name, outcomes, np.ones(3))) for name in ("fAcc", "qAcc", "aAcc")]
    assert values["no yes yes"] == pytest.approx([1, 0, 2 / 3])
    assert values["yes yes no"] == pytest.approx([1 / 2, 0, 2 / 3])


def test_easy_and_hard_are_counted_by_pairs_and_by_questions(tmp_path):
    rows = [row(visual="1", question=q) for q in "01"] + [row(visual="2", figure=f) for f in "123"]
    outcomes = columns(HALLUSION.examples(write(tmp_path, rows), "test"), ["yes", "no", "yes", "yes", "no"])
    names = ("easy_pairs", "easy_questions", "hard_pairs", "hard_questions")
    values = [float(HALLUSION.measure(name, outcomes, np.ones(5))) for name in names]
    assert values == pytest.approx([1 / 2, 1 / 2, 0, 2 / 3])


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"visual_input": "3"}, "row 0: visual_input '3'; allowed are 0, 1, 2"),
        ({"gt_answer": "yes"}, "row 0: gt_answer 'yes'; allowed are 0, 1"),
        ({"category": "VX"}, "row 0: category 'VX'; allowed are VD, VS"),
    ],
)
def test_faults_are_named(tmp_path, changes, fault):
    with pytest.raises(DataError, match=fault):
        HALLUSION.examples(write(tmp_path, [row() | changes]), "test")


def test_another_split_subset_or_shape_is_refused(tmp_path):
    write(tmp_path, [row(), row("VS", "0")])
    assert [one.category for one in HALLUSION.examples(tmp_path, "test", "VS")] == ["VS/0"]
    with pytest.raises(DataError, match="split 'train' is unknown; it has test"):
        HALLUSION.examples(tmp_path, "train")
    with pytest.raises(DataError, match="subset 'V' is unknown; it has VD, VS"):
        HALLUSION.examples(tmp_path, "test", "V")
    with pytest.raises(DataError, match="a dict; allowed is a list"):
        HALLUSION.examples(write(tmp_path, {}), "test")


def random_rows():
    """Sets of 3 figures and 3 questions, each asked with chance 0.8."""
    chance, rows = random.Random(0), []
    for category, subcategory, number in ((c, s, n) for c in ("VD", "VS") for s in ("chart", "map") for n in "01234"):
        for figure, question in ((f, q) for f in "012" for q in "012"):
            if chance.random() < 0.8:
                visual = "2" if figure == "2" else "0" if (category, figure) == ("VS", "0") else "1"
                place = {"number": number, "question": question, "subcategory": subcategory}
                rows.append(row(category, visual, figure, truth=chance.choice("01"), **place))
    said = ["Yes", "No", "yes, it is", "no.", "I cannot tell", "", "yes no", "是"]
    answers = [chance.choice([*said, *[("No", "Yes")[int(one["gt_answer"])]] * 30]) for one in rows]
    return rows, answers


def official(rows, answers):
    """(right, all) by dictionaries, as the official script counts after its judge."""
    groups = defaultdict(lambda: defaultdict(list))
    for one, answer in zip(rows, answers, strict=True):
        words = re.sub(r"[^\w\s]", " ", answer.lower()).split()
        judged = 2 if ("yes" in words) == ("no" in words) else int(("yes" in words) == (one["gt_answer"] == "1"))
        bare = one["category"] == "VS" and one["figure_id"] == "0"
        right = judged == 1 or (bare and judged == 2 and bool(words))
        place = (one["category"], one["subcategory"], one["set_id"])
        ease = "hard" if one["visual_input"] == "2" else "easy"
        groups["aAcc"][len(groups["aAcc"])].append(right)
        groups[f"{ease}_questions"][len(groups[f"{ease}_questions"])].append(right)
        groups["qAcc"][*place, one["question_id"]].append(right)
        groups[f"{ease}_pairs"][*place, one["question_id"]].append(right)
        if not bare:
            groups["fAcc"][*place, one["figure_id"]].append(right)
    return {name: sum(map(all, found.values())) / len(found) for name, found in groups.items()}


def test_agrees_with_dictionaries_of_groups_on_random_answers(tmp_path):
    rows, answers = random_rows()
    outcomes = columns(HALLUSION.examples(write(tmp_path, rows), "test"), answers)
    found = {name: float(HALLUSION.measure(name, outcomes, np.ones(len(rows)))) for name in HALLUSION.metrics}
    assert found == pytest.approx(official(rows, answers))
    assert 0.1 < found["qAcc"] < 0.9


def test_a_weight_of_a_set_is_a_repetition_of_it(tmp_path):
    rows, answers = random_rows()
    examples = HALLUSION.examples(write(tmp_path, rows), "test")
    outcomes = columns(examples, answers)
    sets = sorted({HALLUSION.cluster(one) for one in examples})
    times = dict(zip(sets, np.random.default_rng(0).integers(0, 4, size=len(sets)), strict=True))
    weights = np.array([times[HALLUSION.cluster(one)] for one in examples], dtype=float)
    copies = [(n, copy) for n in range(len(rows)) for copy in range(int(weights[n]))]
    repeated = {name: np.array([column[n] for n, _ in copies]) for name, column in outcomes.items()}
    for name in ("figure", "pair"):
        numbers = [(outcomes[name][n], copy) for n, copy in copies]
        repeated[name] = np.array([group_number(f"{one}/{copy}") if one else 0.0 for one, copy in numbers])
    for name in HALLUSION.metrics:
        by_weight = HALLUSION.measure(name, outcomes, np.stack([weights, weights]))
        assert by_weight == pytest.approx(np.full(2, HALLUSION.measure(name, repeated, np.ones(len(copies)))))


TEACHER = JudgePrompt("Q:{question} R:{reference} P:{prediction}", "abc")


def judged(rows, root, values):
    examples = HALLUSION.examples(write(root, rows), "test")
    pairs = [(one, f"answer {n}") for n, one in enumerate(examples)]
    verdicts = {
        one.id: Verdict(value, "", "", "gpt", "2026-01-02") for (one, _), value in zip(pairs, values, strict=True)
    }
    return pairs, HALLUSION.judged(pairs, verdicts, TEACHER.sha256)


def test_a_judge_is_shown_the_question_the_reference_in_words_and_the_answer(tmp_path):
    (one,) = HALLUSION.examples(write(tmp_path, [row() | {"gt_answer_details": "It is so."}]), "test")
    assert one.answers == ("yes", "It is so.")
    (asked,) = HALLUSION.questions([(one, "Perhaps")], TEACHER)
    assert asked.prompt == "Q:Is it so? R:It is so. P:Perhaps"
    (bare,) = HALLUSION.examples(write(tmp_path, [row()]), "test")
    with pytest.raises(DataError, match="0/VD/chart/0/0/0: no gt_answer_details"):
        HALLUSION.questions([(bare, "Perhaps")], TEACHER)


def test_a_judges_verdicts_agree_with_a_second_count(tmp_path):
    rows, _ = random_rows()
    chance = random.Random(1)
    values = [chance.choice([0.0, *[1.0] * 8, 2.0]) for _ in rows]
    pairs, form = judged(rows, tmp_path, values)
    groups = defaultdict(lambda: defaultdict(list))
    for n, (one, value) in enumerate(zip(rows, values, strict=True)):
        right = value == 1 or (value == 2 and one["filename"] is None)
        place = (one["category"], one["subcategory"], one["set_id"])
        hard = one["visual_input"] == "2"
        for name, key in (("aAcc", n), ("qAcc", (*place, one["question_id"]))):
            groups[name][key].append(right)
        groups["hard_pairs" if hard else "easy_pairs"][*place, one["question_id"]].append(right)
        groups["hard_questions" if hard else "easy_questions"][n].append(right)
        if one["filename"] is not None:
            groups["fAcc"][*place, one["figure_id"]].append(right)
    found = [form.outcome(one, said) for one, said in pairs]
    outcomes = {name: np.array([entry[name] for entry in found]) for name in found[0]}
    measured = {name: float(form.measure(name, outcomes, np.ones(len(rows)))) for name in form.metrics}
    assert measured == pytest.approx({name: np.mean([all(own) for own in of.values()]) for name, of in groups.items()})
    assert form.protocol["judge"] == "gpt"
    assert HALLUSION.protocol["judge"].startswith("none")


def test_a_verdict_belongs_to_its_answer_and_a_missing_one_is_no_score(tmp_path):
    pairs, form = judged([row(), row(question="1")], tmp_path, [1.0, 0.0])
    with pytest.raises(DataError, match="no judge has read this answer"):
        form.outcome(pairs[0][0], "another answer")
    with pytest.raises(DataError, match="1 of 2 answers have no verdict"):
        judged([row(), row(question="1")], tmp_path, [1.0, None])
