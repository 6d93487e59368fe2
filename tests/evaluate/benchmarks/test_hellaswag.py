"""HellaSwag's lines, lm-evaluation-harness's cleaning, shots and normed accuracy."""

from __future__ import annotations

import json
import re
from random import Random

import numpy as np
import pytest

from steering.errors import DataError
from steering.evaluate.benchmarks.hellaswag import HELLASWAG, HELLASWAG_10_SHOT, HellaSwag, clean
from steering.evaluate.likelihood import LikelihoodForm, told

GOLDEN = {
    "  a man sits. ": "a man sits.",
    "How to bake [title] Mix": "How to bake. Mix",
    "Bake [step] Mix  it": "Bake Mix it",
    "[header] How [title] Mix.": " How. Mix.",
    "a   b": "a  b",
    "[unclosed": "[unclosed",
    "a [x\ny] b": "a [x\ny] b",
    "": "",
}


@pytest.mark.parametrize(("text", "expected"), GOLDEN.items())
def test_golden_cleaning(text, expected):
    assert clean(text) == expected


def harness(text):
    text = text.strip()
    text = text.replace(" [title]", ". ")
    text = re.sub("\\[.*?\\]", "", text)
    return text.replace("  ", " ")


def test_cleaning_agrees_with_a_second_implementation():
    random = Random(0)
    parts = [" ", "  ", "[title]", "[step]", "[", "]", "Mix", ".", "\n", "é"]
    for text in ("".join(random.choices(parts, k=random.randint(0, 12))) for _ in range(2000)):
        assert clean(text) == harness(text)


def row(n, label, **more):
    about = {
        "ind": n,
        "activity_label": "Baking",
        "ctx_a": f"A cook stirs {n}.",
        "ctx_b": "the Dough",
        "endings": [f"rises {n}.", "sinks [step] away.", "sings.", "is gone for a long while."],
        "label": label,
        "split_type": "indomain" if n % 2 else "zeroshot",
        "source_id": "x",
    }
    return {**about, **more}


def write(path, rows):
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")


@pytest.fixture
def root(tmp_path):
    write(tmp_path / "hellaswag_val.jsonl", [row(0, 0), row(1, "3"), row(2, 1)])
    write(tmp_path / "hellaswag_train.jsonl", [row(n, n % 4) for n in range(20, 32)])
    return tmp_path


def test_lines_become_queries_and_endings(root):
    first, second, _ = HELLASWAG.examples(root, "val")
    assert (first.id, first.image, first.target, first.category) == ("1", None, "A", "zeroshot")
    assert first.prompt == "Baking: A cook stirs 0. The dough"
    assert first.choices == ("rises 0.", "sinks away.", "sings.", "is gone for a long while.")
    assert second.target == "D"


def test_an_empty_second_part_leaves_no_blank_behind(root):
    write(root / "hellaswag_val.jsonl", [row(0, 0, ctx_b="")])
    assert HELLASWAG.examples(root, "val")[0].prompt == "Baking: A cook stirs 0."


def test_the_request_shares_one_context_between_four_endings(root):
    example = HELLASWAG.examples(root, "val")[0]
    asked = HELLASWAG.request(example)
    assert isinstance(HELLASWAG, LikelihoodForm)
    assert asked.context == example.prompt
    assert asked.continuations[:2] == (" rises 0.", " sinks away.")


def test_ten_shots_come_from_train_in_the_harness_order(root):
    plain, train = HELLASWAG.examples(root, "val"), HELLASWAG.examples(root, "train")
    random = Random(1234)
    for asked, bare in zip(HELLASWAG_10_SHOT.examples(root, "val"), plain, strict=True):
        shots = random.sample(train, 10)
        told_shots = [f"{one.prompt} {one.choices['ABCD'.index(one.target)]}\n\n" for one in shots]
        assert asked.prompt == "".join(told_shots) + bare.prompt
        assert asked.question == bare.prompt


def test_a_subset_is_asked_with_the_shots_of_the_whole(root):
    whole = {one.id: one for one in HELLASWAG_10_SHOT.examples(root, "val")}
    part = HELLASWAG_10_SHOT.examples(root, "val", "indomain")
    assert [one.id for one in part] == ["2"]
    assert part[0] == whole["2"]


def test_faults_name_the_line(root):
    with pytest.raises(DataError, match="12 rows; 13 shots need as many"):
        HellaSwag("more", shots=13).examples(root, "val")
    for broken, why in (
        (row(0, 4), "label 4; allowed are 0, 1, 2, 3"),
        (row(0, ""), "label ''; allowed"),
        (row(0, 0, endings=["a"]), "1 endings; allowed are 4"),
        ({"ctx_a": "a"}, "field 'ctx_b' is missing"),
    ):
        write(root / "hellaswag_val.jsonl", [row(0, 0), broken])
        with pytest.raises(DataError, match=rf"hellaswag_val.jsonl:2: {re.escape(why)}"):
            HELLASWAG.examples(root, "val")
    with pytest.raises(DataError, match="not found"):
        HELLASWAG.examples(root, "test")
    with pytest.raises(DataError, match="did you mean indomain"):
        HELLASWAG.examples(root, "val", "indomains")


def columns(root, answers):
    examples = HELLASWAG.examples(root, "val")
    rows = [HELLASWAG.outcome(one, said) for one, said in zip(examples, answers, strict=True)]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


ANSWERS = [told([-1, -9, -9, -9]), told([-2, -9, -9, -10]), "nonsense"]


def test_weights_of_ones_give_the_official_values(root):
    outcomes, ones = columns(root, ANSWERS), np.ones(3)
    assert HELLASWAG.measure("accuracy", outcomes, ones) == pytest.approx(1 / 3)
    assert HELLASWAG.measure("accuracy_norm", outcomes, ones) == pytest.approx(1 / 3)
    assert HELLASWAG.measure("accuracy_norm_indomain", outcomes, ones) == 0
    assert HELLASWAG.measure("accuracy_norm_zeroshot", outcomes, ones) == 0.5


def test_whole_weights_are_questions_that_come_more_often(root):
    outcomes, weights = columns(root, ANSWERS), np.array([3, 0, 2])
    longer = {name: np.repeat(column, weights) for name, column in outcomes.items()}
    for name in HELLASWAG.metrics:
        often = HELLASWAG.measure(name, outcomes, weights.astype(float))
        assert often == pytest.approx(HELLASWAG.measure(name, longer, np.ones(5)), nan_ok=True)


def test_the_number_of_shots_is_told():
    assert (HELLASWAG.protocol["shots"], HELLASWAG_10_SHOT.protocol["shots"][:13]) == ("0", "10 from train")
