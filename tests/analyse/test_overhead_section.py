"""The section on the cost of an answer: there where it was measured, with the paper's numbers and the bare model's."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steering.analyse.overhead import NOTES
from steering.analyse.report import ReportInput, html, write_figures
from steering.analyse.sections.overhead import overhead

MEASURES = ("prefill", "decode", "answer")
ATTACK = "<script>alert('x')</script>"


def of(value: float, width: float) -> dict[str, dict[str, float]]:
    return {kind: {"value": value, "low": value - width, "high": value + width} for kind in MEASURES}


def row(name: str, ratio: float, width: float, **told: Any) -> dict[str, Any]:
    times = {"seconds": of(0.2 * ratio, width), "ratio": of(ratio, width), "more": of(0.2 * (ratio - 1), 0.2 * width)}
    return {"name": name, "raw": {}, **times, **told}


def measured(*, itself: float = 1.001) -> dict[str, Any]:
    """A record as the stage writes it, of invented times."""
    arms = [("mores_b", "mores", False, 1.01), ("lora", "lora", False, 1.42), ("lora", "lora", True, 0.998)]
    return {
        "experiment": "first_light",
        "world": "embedded",
        "benchmark": "icons-pope",
        "date": "2026-01-02T03:04:05+00:00",
        "commit": "0123456789ab",
        "versions": {"torch": "2.13.0"},
        "machine": {"cpu": "a processor", "cores": 2, "threads": 1, "device": "cpu", "load": 0.1, "load_after": 1.0},
        "settings": {"questions": 20, "repeats": 9, "tokens": 16, "warmup": 1, "dtype": "float32", "live": False},
        "protocol": NOTES,
        "questions": 20,
        "positions": 52.4,
        "visual_tokens": 16.0,
        "answer_tokens": 2.6,
        "bare": {"name": "bare model", "raw": {}, "seconds": of(0.2, 0.01), "spread": dict.fromkeys(MEASURES, 0.02)},
        "again": row("bare model again", itself, 0.004),
        "contenders": [
            row(f"{arm}, merged" if merged else arm, ratio, 0.02, arm=arm, method=method, merged=merged)
            for arm, method, merged, ratio in arms
        ],
    }


@pytest.fixture
def told(report_input: ReportInput) -> ReportInput:
    return replace(report_input, overhead=measured())


def test_an_experiment_without_it_has_no_such_section(report_input: ReportInput) -> None:
    assert overhead(report_input) is None
    assert 'id="overhead"' not in html(report_input)


def test_each_arm_has_its_row_behind_the_bare_models_second_self(told: ReportInput) -> None:
    section = overhead(told)
    assert section
    rows = section.facts["rows"]
    assert [one["name"] for one in rows] == ["bare model again", "mores_b", "lora", "lora, merged"]
    assert rows[2]["prefill"] == ("1.420", "1.400", "1.440")
    assert rows[3]["more"] == ("\u22120.0004", "\u22120.0044", "+0.0036")


def test_the_papers_number_stands_where_the_method_is_the_same(told: ReportInput) -> None:
    section = overhead(told)
    assert section
    assert [one["paper"] for one in section.facts["rows"]] == ["", "+0.08", "", ""]
    assert "have no interval" in html(told)


def test_the_paper_is_not_spoken_of_where_it_has_no_number(told: ReportInput) -> None:
    record = measured()
    record["contenders"] = [one for one in record["contenders"] if one["method"] != "mores"]
    assert "have no interval" not in html(replace(told, overhead=record))


def test_a_machine_on_which_the_bare_model_is_not_its_own_equal_is_told(told: ReportInput) -> None:
    words = "the bare model is not its own equal"
    assert words not in html(told)
    assert words in html(replace(told, overhead=measured(itself=1.2)))
    assert words in html(replace(told, overhead=measured(itself=0.8)))


def test_the_page_has_table_chart_and_protocol(told: ReportInput) -> None:
    page = html(told)
    assert 'href="#overhead"' in page and 'id="overhead-table"' in page and 'data-chart="overhead"' in page
    assert "Without a method the model is the bare model itself: none." in page
    assert NOTES["length"].replace("'", "&#39;") in page and "a processor" in page


def test_the_chart_is_plain_data_with_a_mark_for_every_measure(told: ReportInput) -> None:
    section = overhead(told)
    assert section
    spec = json.loads(section.charts["overhead"].to_json())
    points = [one for own in spec["datasets"].values() for one in own if "measure" in one]
    assert len(points) == 4 * len(MEASURES)
    bands = [one for own in spec["datasets"].values() for one in own if set(one) == {"low", "high"}]
    assert bands == [{"low": pytest.approx(0.997), "high": pytest.approx(1.005)}]


def test_the_files_have_picture_and_table(told: ReportInput, tmp_path: Path) -> None:
    write_figures(told, tmp_path)
    assert (tmp_path / "overhead.png").stat().st_size > 10_000
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert re.search(r"\| lora, merged \|.*\u22120\.0004 \[\u22120\.0044, \+0\.0036\]", text)


def test_names_are_escaped(told: ReportInput) -> None:
    record = measured()
    record["contenders"][0]["name"] = record["benchmark"] = record["machine"]["cpu"] = ATTACK
    assert "<script>alert" not in html(replace(told, overhead=record))
