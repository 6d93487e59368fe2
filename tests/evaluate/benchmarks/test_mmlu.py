"""MMLU's headerless CSV, its prompt, and the first letter as an answer."""

from __future__ import annotations

import pytest

from steering.errors import DataError
from steering.evaluate.benchmarks.mmlu import MMLU, read_first_letter

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
