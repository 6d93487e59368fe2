"""The countries data set has ScienceQA's and MMLU's shapes and splits everything by country."""

from __future__ import annotations

import csv
import json

import pytest

from steering.data.embedded.countries import build, distinct_flags
from steering.data.embedded.facts import Country
from steering.data.shards import ImageArchive

FIELDS = ["question", "choices", "answer", "hint", "image", "task", "grade", "subject", "topic", "category"]
FIELDS += ["skill", "lecture", "solution", "split"]


@pytest.fixture(scope="module")
def built(country_wheels, tmp_path_factory):
    out = tmp_path_factory.mktemp("world") / "countries"
    return out, build(country_wheels, out, {"seed": 0})


def problems_of(out):
    return json.loads((out / "scienceqa/problems.json").read_text())


def test_problems_have_the_official_fields(built):
    for problem in problems_of(built[0]).values():
        assert list(problem) == FIELDS
        assert len(problem["choices"]) == 4 and 0 <= problem["answer"] < 4


def test_flag_questions_have_a_picture_and_others_none(built):
    out, _ = built
    names = set(ImageArchive(out).names())
    for pid, problem in problems_of(out).items():
        shown = f"images/{problem['split']}/{pid}/image.png" in names
        assert shown == (problem["image"] == "image.png") == ("flag" in problem["question"])


def test_pid_splits_name_every_problem_once(built):
    out, _ = built
    splits = json.loads((out / "scienceqa/pid_splits.json").read_text())
    problems = problems_of(out)
    assert sorted(pid for pids in splits.values() for pid in pids) == sorted(problems)
    assert all(problems[pid]["split"] == split for split, pids in splits.items() for pid in pids)


def test_no_picture_is_in_two_splits(built):
    archive = ImageArchive(built[0])
    seen: dict[str, set[str]] = {}
    for name in archive.names():
        if name.startswith("images/"):
            seen.setdefault(archive.identity(name), set()).add(name.split("/")[1])
    assert seen and all(len(splits) == 1 for splits in seen.values())


def test_mmlu_files_are_six_columns_without_header(built):
    out, facts = built
    for split, subjects in facts["counts"]["mmlu"].items():
        for subject, count in subjects.items():
            with open(out / "mmlu" / split / f"{subject}_{split}.csv", newline="", encoding="utf-8") as file:
                rows = list(csv.reader(file))
            assert len(rows) == count
            assert all(len(row) == 6 and row[5] in "ABCD" for row in rows)


def test_no_country_is_asked_about_in_two_splits(built):
    asked: dict[str, set[str]] = {}
    for problem in problems_of(built[0]).values():
        if problem["skill"] == "capital":
            asked.setdefault(problem["question"], set()).add(problem["split"])
    assert asked and all(len(splits) == 1 for splits in asked.values())


def test_incomplete_records_are_left_out(built):
    assert sum(built[1]["counts"]["countries"].values()) == 40


def test_of_flags_drawn_alike_the_most_populous_country_shows_it():
    bar = '<rect x="5" y="17" width="62" height="38" fill="#fff"/>'
    svg = f'<svg viewBox="0 0 72 72" xmlns="http://www.w3.org/2000/svg">{bar}</svg>'
    pair = [Country(code, "", code, "", "", (), (), people) for code, people in (("AA", 5), ("BB", 9))]
    assert list(distinct_flags(pair, {"AA": svg, "BB": svg})) == ["BB"]


def test_the_same_settings_give_the_same_bytes(built, country_wheels, tmp_path):
    out, facts = built
    assert build(country_wheels, tmp_path / "again", {"seed": 0}) == facts
    files = [path.relative_to(out) for path in out.rglob("*") if path.is_file()]
    assert all((out / file).read_bytes() == (tmp_path / "again" / file).read_bytes() for file in files)
