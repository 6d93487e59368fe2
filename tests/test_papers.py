"""The papers' numbers are all there, as printed, and what is told about them names only what is in their tables."""

from __future__ import annotations

from collections import Counter
from statistics import fmean
from typing import get_args

import pytest

from steering import papers
from steering.evaluate.benchmarks import FORMS
from steering.params.worlds import BuilderName

PLACES = [(number.table, number.model, number.arm, number.benchmark) for number in papers.printed()]
TABLES = sorted({(table, model) for table, model, _, _ in PLACES})
COUNTS = {"1": 64, "2": 60, "3": 54, "4": 10, "5": 24, "6": 36, "8": 32, "9": 32, "A4": 3, "MRT": 1}


def value(table: str, row: str, column: str, model: str = "3b") -> str | None:
    found = papers.number(table, model, row, column)
    return found.value if found else None


def test_every_table_has_its_numbers_each_place_once():
    assert Counter(table for table, *_ in PLACES) == COUNTS
    assert len(set(PLACES)) == len(PLACES) == sum(COUNTS.values())


@pytest.mark.parametrize(
    ("place", "printed"),
    [
        (("1", "mores_h", "pope"), "88.2"),
        (("1", "full", "mmvet"), "35.0"),
        (("2", "mores_b", "iconqa_txt"), "84.0"),
        (("2", "lora", "vizwiz", "7b"), "60.6"),
        (("2", "oft", "iconqa_txt", "13b"), "3.4"),
        (("3", "full@1k", "scienceqa_img"), "33.8"),
        (("4", "mores", "mmlu"), "57.0"),
        (("5", "mores", "hallusion_hard"), "42.6"),
        (("6", "mores token_ratio=1.00", "iconqa_txt"), "67.7"),
        (("8", "mores layers=every 3rd", "mmmu"), "33.2"),
        (("9", "mores layers=deep 16-31", "average"), "57.7"),
        (("A4", "oft", "inference_overhead_seconds_per_sample"), "2.8"),
        (("MRT", "mrt", "mme_perception", "7b"), "1580.40"),
    ],
)
def test_a_known_number_of_each_table_is_as_printed(place, printed):
    assert value(*place) == printed


@pytest.mark.parametrize(
    "place", [("6", "lora", "vizwiz"), ("2", "mores_b", "pope"), ("2", "full", "vizwiz", "7b"), ("7", "x", "y")]
)
def test_a_place_without_a_number_has_none(place):
    assert value(*place) is None


@pytest.mark.parametrize(("table", "model"), TABLES)
def test_what_is_told_of_a_table_names_its_rows_models_and_columns(table, model):
    about, rows = papers.about_table(table), papers.rows(table, model)
    held = [row for first, others in about["against"].items() for row in (first, *others)]
    assert model in about["models"]
    assert len(held) == len(set(held))
    assert set(rows) <= set(held) == {row for m in papers.models(table) for row in papers.rows(table, m)}
    assert all(papers.about_column(column)["title"] for column in papers.columns(table, model))


def test_a_columns_builder_and_metric_are_ours():
    for column in {column for *_, column in PLACES}:
        about = papers.about_column(column)
        assert about.get("builder", "pope_eval") in get_args(BuilderName)
        assert "metric" not in about or any(about["metric"] in form.metrics for form in FORMS.values())


@pytest.mark.parametrize("oddity", papers.all_oddities(), ids=lambda oddity: oddity["text"][:30])
def test_an_oddity_concerns_something_that_is_printed(oddity):
    assert oddity.keys() <= {"text", "tables", "arms", "benchmarks"}
    own = [place for place in PLACES if place[0] in oddity["tables"]]
    assert set(oddity["tables"]) == {table for table, *_ in own}
    assert set(oddity.get("arms", [])) <= {row for _, _, row, _ in own}
    assert set(oddity.get("benchmarks", [])) <= {column for *_, column in own}


def test_an_oddity_is_told_of_what_it_concerns_and_of_nothing_else():
    exchanged = papers.all_oddities()[0]["text"]
    assert exchanged in papers.oddities("1", [("lora", "pope")])
    assert exchanged in papers.oddities("5", [("adapter", "pope")])
    for table, place in (("1", ("lora", "gqa")), ("1", ("ia3", "pope")), ("6", ("mores rank=1", "vizwiz"))):
        assert exchanged not in papers.oddities(table, [place])
    assert papers.oddities("1", []) == []


def test_the_oddities_hold_in_the_numbers():
    assert [value("1", arm, "pope") for arm in ("lora", "adapter")] == ["87.9", "86.7"]
    assert [value("5", arm, "pope") for arm in ("lora", "adapter")] == ["86.7", "87.9"]
    assert [value(table, "oft", "pope") for table in "15"] == ["87.6", "85.1"]
    assert value("5", "mores", "pope") == value("1", "mores_h", "pope")
    assert [value("6", f"mores {row}", "scienceqa_img") for row in ("rank=1", "token_ratio=0.01")] == ["89.6", "89.7"]
    for column in papers.columns("8", "3b"):
        assert (
            value("8", "mores layers=all", column)
            == value("9", "mores layers=all", column)
            == value("1", "mores_l", column)
        )


def test_averages_that_are_said_to_be_off_are_those_of_their_tables():
    off = {}
    for table in ("1", "6", "8", "9"):
        for row in (row for row in papers.rows(table, "3b") if value(table, row, papers.AVERAGE)):
            own = [value(table, row, column) for column in papers.benchmarks(table, "3b")]
            off[table, row] = abs(fmean(map(float, own)) - float(value(table, row, papers.AVERAGE)))
    assert {table for (table, _), gap in off.items() if gap > 0.051} == {"1", "9"}
    assert 0.2 < max(off.values()) == off["1", "oft"] < 0.25


def test_each_row_is_held_against_the_first_of_its_kind():
    assert papers.reference("1", "mores_b") == "lora"
    assert papers.reference("1", "lora") is None
    assert papers.reference("3", "ia3@5k") == "lora@5k"
    assert papers.reference("6", "mores token_ratio=0.25") == "mores token_ratio=0.01"


def test_ours_stand_beside_their_namesakes_unless_told_otherwise():
    told = {"ours": "theirs", "both": ["one", "two"], "left": None}
    assert papers.beside(told, ["ours", "both", "left", "same", "alone"], ["theirs", "one", "two", "left", "same"]) == {
        "ours": ["theirs"],
        "both": ["one", "two"],
        "left": [],
        "same": ["same"],
        "alone": [],
    }
