"""POPE's yes/no reading, its measures against counts by hand, and its JSON lines."""

from __future__ import annotations

import json
import math
import random
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steering.errors import DataError
from steering.evaluate.benchmarks.form import Example
from steering.evaluate.benchmarks.pope import CATEGORIES, COCO_POPE, MEASURES, POPE, read_yes_no

GOLDEN = {
    "Yes": "yes",
    "yes.": "yes",
    "No": "no",
    "no.": "no",
    "No, there is not.": "no",
    "There is no cat": "no",
    "There is not a cat. Yes": "no",
    "Yes. No": "yes",
    "Yes, no": "no",
    "No\nmore": "yes",
    "No\tmore": "yes",
    "A, no": "no",
    "no,more": "yes",
    " . no": None,
    "isnt": "yes",
    "NO": "yes",
    "nothing": "yes",
    "Notably so": "yes",
    "(A)": "yes",
    "是": "yes",
    "нет": "yes",
    "": None,
    "  \n": None,
    "...": None,
    ",": None,
}


@pytest.mark.parametrize(("answer", "expected"), GOLDEN.items())
def test_golden_answer(answer, expected):
    assert read_yes_no(answer) == expected


def example(target, category="random"):
    return Example("1", "a.png", "p", target, (target,), question="q", category=category)


def columns(pairs):
    rows = [POPE.outcome(example(target, category), answer) for target, answer, category in pairs]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def test_an_empty_answer_is_wrong_for_both_labels_and_says_neither():
    for target in ("yes", "no"):
        found = POPE.outcome(example(target), "")
        assert (found["correct"], found["parsed"], found["said_yes"]) == (0, 0, 0)


@given(
    st.lists(
        st.tuples(st.sampled_from(["yes", "no"]), st.sampled_from(["Yes", "no", ""]), st.sampled_from(CATEGORIES)),
        min_size=1,
        max_size=25,
    )
)
def test_measures_agree_with_counts(pairs):
    outcomes, n = columns(pairs), len(pairs)
    tp = sum(target == "yes" and said == "Yes" for target, said, _ in pairs)
    fp = sum(target == "no" and said == "Yes" for target, said, _ in pairs)
    positives = sum(target == "yes" for target, _, _ in pairs)
    precision = tp / (tp + fp) if tp + fp else np.nan
    recall = tp / positives if positives else np.nan
    f1 = 2 * precision * recall / (precision + recall) if tp else (0 if tp + fp + positives else np.nan)
    expected = {
        "accuracy": sum(target == said.lower() for target, said, _ in pairs) / n,
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "yes_ratio": (tp + fp) / n,
    }
    for category in CATEGORIES:
        inside = [target == said.lower() for target, said, kind in pairs if kind == category]
        expected[f"accuracy_{category}"] = np.mean(inside) if inside else np.nan
    assert set(expected) == set(POPE.metrics)
    for name, value in expected.items():
        assert POPE.measure(name, outcomes, np.ones(n)) == pytest.approx(value, nan_ok=True)


def test_a_weight_is_a_repetition():
    pairs = [("yes", "Yes", "random"), ("no", "Yes", "popular"), ("yes", "no", "popular")]
    weights = np.array([2.0, 0, 3])
    repeated = columns([pairs[0]] * 2 + [pairs[2]] * 3)
    for name in POPE.metrics:
        by_weight = POPE.measure(name, columns(pairs), np.stack([weights, weights]))
        by_repetition = POPE.measure(name, repeated, np.ones(5))
        assert by_weight == pytest.approx(np.full(2, by_repetition), nan_ok=True)


def write(root, label="yes"):
    for category in CATEGORIES:
        row = {"question_id": 1, "image": f"{category}.png", "text": "Is there a cat in the image?", "label": label}
        path = root / "val" / f"{category}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(row) + "\n\n")


def test_files_become_examples_with_ids_of_their_own(tmp_path):
    write(tmp_path)
    examples = POPE.examples(tmp_path, "val", None)
    assert [one.id for one in examples] == ["random/1", "popular/1", "adversarial/1"]
    assert examples[1].image == "popular.png"
    assert examples[1].prompt == ("Is there a cat in the image?\nAnswer the question using a single word or phrase.")
    assert [one.category for one in POPE.examples(tmp_path, "val", "popular")] == ["popular"]


def test_unknown_subset_label_and_broken_line_are_named(tmp_path):
    write(tmp_path, label="maybe")
    with pytest.raises(DataError, match="did you mean popular"):
        POPE.examples(tmp_path, "val", "popula")
    with pytest.raises(DataError, match=r"random\.json:1: label 'maybe'; allowed are yes and no"):
        POPE.examples(tmp_path, "val", None)
    (tmp_path / "val" / "random.json").write_text('{"question_id": 1\n')
    with pytest.raises(DataError, match=r"random\.json:1: line 1: broken JSON"):
        POPE.examples(tmp_path, "val", "random")


def counted(pairs):
    """The official script's numbers by its confusion counts, for (label, answer) pairs; None is an empty answer."""
    cells = {(label, said): 0 for label in ("yes", "no") for said in ("yes", "no", None)}
    for label, answer in pairs:
        sentence = re.sub(",", "", re.match(r"[^.]*", answer.strip()).group())
        no = re.search(r"(?:^| )(?:No|not|no)(?= |$)", sentence)
        said = None if not sentence.strip() else "no" if no else "yes"
        cells[label, said] += 1
    tp, fp, fn = cells["yes", "yes"], cells["no", "yes"], cells["yes", "no"] + cells["yes", None]
    return {
        "accuracy": (tp + cells["no", "no"]) / len(pairs),
        "precision": tp / (tp + fp),
        "recall": tp / (tp + fn),
        "f1": 2 * tp / (2 * tp + fp + fn),
        "yes_ratio": (tp + fp) / len(pairs),
    }


def test_each_kind_and_their_means_agree_with_confusion_counts_on_random_answers():
    chance = random.Random(0)
    pieces = ["Yes", "No", "no", "not", "yes", ",", ".", " ", " ", "nothing", "", "isnt", "нет"]
    pairs = [
        (chance.choice(["yes", "no"]), "".join(chance.choices(pieces, k=chance.randint(0, 5))), category)
        for category in CATEGORIES
        for _ in range(200)
    ]
    outcomes = columns(pairs)
    by_kind = {kind: counted([(label, said) for label, said, one in pairs if one == kind]) for kind in CATEGORIES}
    overall = counted([(label, said) for label, said, _ in pairs])
    for name in MEASURES:
        found = {metric: COCO_POPE.measure(metric, outcomes, np.ones(len(pairs))) for metric in COCO_POPE.metrics}
        assert found[name] == pytest.approx(overall[name])
        assert [found[f"{name}_{kind}"] for kind in CATEGORIES] == pytest.approx([by_kind[k][name] for k in CATEGORIES])
        assert found[f"mean_{name}"] == pytest.approx(math.fsum(by_kind[k][name] for k in CATEGORIES) / 3)


def test_a_mean_is_undefined_where_one_kind_was_not_asked():
    outcomes = columns([("yes", "Yes", "random"), ("no", "no", "popular")])
    assert np.isnan(COCO_POPE.measure("mean_accuracy", outcomes, np.ones(2)))


def test_the_official_files_are_read_under_their_names_and_both_sizes_of_random_are_named(tmp_path):
    for kind in CATEGORIES:
        row = {"question_id": 1, "image": "COCO_val2014_000000310196.jpg", "text": "Is there a cat?", "label": "no"}
        (tmp_path / f"coco_pope_{kind}.json").write_text(json.dumps(row) + "\n")
    assert [one.id for one in COCO_POPE.examples(tmp_path, "test")] == ["random/1", "popular/1", "adversarial/1"]
    assert all(digits in COCO_POPE.protocol["files"] for digits in ("c16b65d2", "ac252451", "72c1a8ad", "420b3407"))
    with pytest.raises(DataError, match="coco_pope: split 'train' is unknown; it has test"):
        COCO_POPE.examples(tmp_path, "train")
