"""MMLU's headerless CSV, its two prompts, the first letter as an answer and the four letters weighed."""

from __future__ import annotations

import numpy as np
import pytest

from steering.errors import DataError
from steering.evaluate.benchmarks.mmlu import MMLU, MMLU_LIKELIHOOD, MmluLikelihood, read_first_letter
from steering.evaluate.likelihood import LikelihoodForm, Request, told

GOLDEN = {
    "B": "B",
    "B.": "B",
    " (B)": "B",
    "B)": "B",
    "B: dog": "B",
    "B. dog": "B",
    "B\nbecause": "B",
    "A dog": None,
    "Bee": None,
    "b": None,
    "E": None,
    "The answer is B.": None,
    "Б": None,
    "Bé": None,
    "": None,
}


@pytest.mark.parametrize(("answer", "expected"), GOLDEN.items())
def test_golden_answer(answer, expected):
    assert read_first_letter(answer) == expected


@pytest.fixture
def root(tmp_path):
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "capital_test.csv").write_text('"Capital of ""X"", then?",Oslo,"Rome, Italy",Bern,Paris,B\n')
    (tmp_path / "test" / "region_test.csv").write_text("Where?,a,b,c,d,D\n")
    return tmp_path


def test_rows_become_examples(root):
    first, second = MMLU.examples(root, "test", None)
    assert (first.id, first.category, first.image, first.target) == ("capital/1", "capital", None, "B")
    assert first.prompt == (
        'Capital of "X", then?\nA. Oslo\nB. Rome, Italy\nC. Bern\nD. Paris\n'
        "Answer with the option's letter from the given choices directly."
    )
    assert second.category == "region"


def test_subset_is_a_subject(root):
    assert [one.id for one in MMLU.examples(root, "test", "region")] == ["region/1"]
    with pytest.raises(DataError, match="did you mean region"):
        MMLU.examples(root, "test", "regions")


def test_missing_split_and_bad_rows_are_named(root):
    with pytest.raises(DataError, match=r"no files \*_val\.csv"):
        MMLU.examples(root, "val", None)
    (root / "test" / "region_test.csv").write_text("q,a,b,c,d\n")
    with pytest.raises(DataError, match="region_test.csv: row 1: 5 columns; allowed are 6"):
        MMLU.examples(root, "test", None)
    (root / "test" / "region_test.csv").write_text("q,a,b,c,d,E\n")
    with pytest.raises(DataError, match="answer 'E'; allowed are A, B, C, D"):
        MMLU.examples(root, "test", None)


def test_unparsed_is_wrong(root):
    example = MMLU.examples(root, "test", None)[0]
    assert MMLU.outcome(example, "Rome, Italy") == {"correct": 0.0, "parsed": 0.0}
    assert MMLU.outcome(example, "B") == {"correct": 1.0, "parsed": 1.0}


@pytest.fixture
def shown(root):
    (root / "dev").mkdir()
    (root / "test" / "world_facts_test.csv").write_text("  Who? , x,y ,z,w,C\n")
    for subject in ("capital", "region", "world_facts"):
        rows = [f"{subject} {n}?,a{n},b,c,d,{'ABCD'[n % 4]}\n" for n in range(6)]
        (root / "dev" / f"{subject}_dev.csv").write_text("".join(rows))
    return root


def test_the_context_is_the_header_five_shots_and_the_question(shown):
    example = MMLU_LIKELIHOOD.examples(shown, "test", "world_facts")[0]
    shots = [f"world_facts {n}?\nA. a{n}\nB. b\nC. c\nD. d\nAnswer: {'ABCD'[n % 4]}\n\n" for n in range(5)]
    assert example.prompt == (
        "The following are multiple choice questions (with answers) about world facts.\n\n"
        + "".join(shots)
        + "Who?\nA.  x\nB. y \nC. z\nD. w\nAnswer:"
    )
    assert (example.id, example.target, example.question) == ("world_facts/1", "C", "Who?")
    assert MMLU_LIKELIHOOD.request(example) == Request(example.prompt, (" A", " B", " C", " D"))


def test_only_the_likelihood_form_is_weighed():
    assert isinstance(MMLU_LIKELIHOOD, LikelihoodForm)
    assert not isinstance(MMLU, LikelihoodForm)


def test_without_shots_no_dev_is_needed(root):
    first, _ = MmluLikelihood(shots=0).examples(root, "test")
    assert first.prompt.startswith("The following are multiple choice questions (with answers) about capital.\n\nCapi")


def test_missing_shots_are_named(shown):
    (shown / "dev" / "region_dev.csv").write_text("q,a,b,c,d,A\n")
    with pytest.raises(DataError, match="region_dev.csv: 1 rows; 5 shots need as many"):
        MMLU_LIKELIHOOD.examples(shown, "test", "region")
    (shown / "dev" / "region_dev.csv").unlink()
    with pytest.raises(DataError, match="region_dev.csv is missing; 5 shots are taken from dev"):
        MMLU_LIKELIHOOD.examples(shown, "test", "region")


def test_the_greatest_letter_counts_and_weights_repeat_questions(shown):
    examples = MMLU_LIKELIHOOD.examples(shown, "test")
    answers = [told([-3, -1, -2, -4]), told([-3, -1, -2, -4]), "C"]
    rows = [MMLU_LIKELIHOOD.outcome(one, said) for one, said in zip(examples, answers, strict=True)]
    outcomes = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    assert outcomes["correct"].tolist() == outcomes["correct_norm"].tolist() == [1, 0, 1]
    assert MMLU_LIKELIHOOD.measure("accuracy", outcomes, np.ones(3)) == pytest.approx(2 / 3)
    assert MMLU_LIKELIHOOD.measure("accuracy", outcomes, np.array([1.0, 3.0, 1.0])) == pytest.approx(2 / 5)
