"""GQA's exact match after strip, full stops and case, and its accuracy by type of question."""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict

import numpy as np
import pytest

from steering.errors import DataError
from steering.evaluate.benchmarks.gqa import GQA, SEMANTIC, STRUCTURAL, bare


def row(answer="yes", types=("verify", "attr"), **changes):
    kinds = {"types": dict(zip(("structural", "semantic"), types, strict=True), detailed="x")} if types else {}
    return {"question": "Is it overcast?", "imageId": "n161313", "answer": answer, "groups": {}, **kinds, **changes}


def write(root, **rows):
    (root / "testdev_balanced_questions.json").write_text(json.dumps(rows))
    return root


def test_questions_become_examples(tmp_path):
    (one,) = GQA.examples(write(tmp_path, q201307251=row()), "testdev")
    assert (one.id, one.image, one.target, one.category) == ("q201307251", "n161313.jpg", "yes", "verify/attr")
    assert one.prompt == "Is it overcast?\nAnswer the question using a single word or phrase."


GOLDEN = {
    "yes": "yes",
    "Yes.": "yes",
    " YES... \n": "yes",
    "yes .": "yes ",
    "yes, it is": "yes, it is",
    "the yes": "the yes",
    "(A)": "(a)",
    "A.": "a",
    "The answer is B.": "the answer is b",
    "two": "two",
    "2": "2",
    "isnt": "isnt",
    "1,000.": "1,000",
    "Да.": "да",
    "": "",
    "...": "",
}


@pytest.mark.parametrize(("answer", "expected"), GOLDEN.items())
def test_golden_answer(answer, expected):
    assert bare(answer) == expected


def test_an_empty_answer_is_unparsed_and_wrong(tmp_path):
    (one,) = GQA.examples(write(tmp_path, a=row()), "testdev")
    found = [GQA.outcome(one, said) for said in ("", ".", "no", "Yes.")]
    assert [(each["correct"], each["parsed"]) for each in found] == [(0, 0), (0, 0), (0, 1), (1, 1)]


def test_without_types_only_the_whole_accuracy_is_defined(tmp_path):
    (one,) = GQA.examples(write(tmp_path, a=row(types=None)), "testdev")
    outcomes = {name: np.array([value]) for name, value in GQA.outcome(one, "yes").items()}
    values = {name: float(GQA.measure(name, outcomes, np.ones(1))) for name in GQA.metrics}
    assert [name for name, value in values.items() if not np.isnan(value)] == ["accuracy"]


def test_subset_is_a_type_and_faults_are_named(tmp_path):
    write(tmp_path, a=row(), b=row(types=("query", "rel")))
    assert [one.id for one in GQA.examples(tmp_path, "testdev", "query")] == ["b"]
    assert [one.id for one in GQA.examples(tmp_path, "testdev", "attr")] == ["a"]
    with pytest.raises(DataError, match="did you mean verify"):
        GQA.examples(tmp_path, "testdev", "verfy")
    with pytest.raises(DataError, match=r"testdev_balanced_questions\.json: c: field 'imageId' is missing"):
        GQA.examples(write(tmp_path, c={"question": "?", "answer": "yes"}), "testdev")
    (tmp_path / "testdev_balanced_questions.json").write_text("[]")
    with pytest.raises(DataError, match="a list; allowed is an object"):
        GQA.examples(tmp_path, "testdev")


def official(rows, predictions):
    """Lists of hits by name, as GQA's eval.py keeps them."""
    scores = defaultdict(list)
    for number, one in rows.items():
        said = re.sub(r"\.*$", "", predictions[number].strip()).lower()
        names = ["accuracy", *(f"accuracy_{kind}" for kind in (one["types"]["structural"], one["types"]["semantic"]))]
        names.append("accuracy_open" if one["types"]["structural"] == "query" else "accuracy_binary")
        for name in names:
            scores[name].append(said == one["answer"])
    return {name: sum(hits) / len(hits) for name, hits in scores.items()}


def test_agrees_with_lists_of_hits_on_random_answers(tmp_path):
    chance = random.Random(0)
    words = ["yes", "no", "left", "dining table", "2"]
    rows = {
        f"q{n}": row(chance.choice(words), (chance.choice(STRUCTURAL), chance.choice(SEMANTIC))) for n in range(400)
    }
    say = {
        name: chance.choice(["", " "]) + chance.choice([str.upper, str.lower])(chance.choice(words)) for name in rows
    }
    say = {name: said + chance.choice(["", ".", "..", " .", "\n"]) for name, said in say.items()}
    examples = GQA.examples(write(tmp_path, **rows), "testdev")
    found = [GQA.outcome(one, say[one.id]) for one in examples]
    outcomes = {name: np.array([one[name] for one in found]) for name in found[0]}
    values = {name: float(GQA.measure(name, outcomes, np.ones(400))) for name in GQA.metrics}
    assert values == pytest.approx(official(rows, say))
