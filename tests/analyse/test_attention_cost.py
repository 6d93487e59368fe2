"""Attention against parameters: one point an arm, over seeds and groups of questions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from steering.analyse.report import ReportInput, html
from steering.analyse.sections.attention_cost import attention_cost, visual_attention


def samples(values: list[float], *, groups: int = 20) -> dict:
    names = [str(number) for number in range(len(values))]
    return {"id": names, "group": [number % groups for number in range(len(values))], "visual_attention": values}


def test_the_point_is_the_mean_over_seeds_of_what_they_share() -> None:
    first, second = samples([0.1, 0.2, 0.3]), samples([0.3, 0.4, 0.5, 9.0])
    assert visual_attention([first, second]).value == pytest.approx(0.3)


def test_seeds_that_differ_widen_the_interval() -> None:
    alike = visual_attention([samples([0.2 + 0.001 * n for n in range(40)])] * 2)
    apart = visual_attention([samples([level + 0.001 * n for n in range(40)]) for level in (0.1, 0.3)])
    assert alike.value == pytest.approx(apart.value)
    assert apart.high - apart.low > 3 * (alike.high - alike.low) > 0


def test_every_arm_has_its_parameters_and_its_interval(report_input: ReportInput) -> None:
    section = attention_cost(report_input)
    assert section
    points = section.charts["attention_cost"].to_dict()["datasets"]
    rows = {row["arm"]: row for table in points.values() for row in table if "trainable_llm" in row}
    assert {arm: row["trainable_llm"] for arm, row in rows.items()} == {"none": 0, "mores_b": 34_590, "lora": 460_800}
    assert all(row["low"] < row["value"] < row["high"] for row in rows.values())
    assert "| mores_b | 34,590 |" in section.text
    assert 'data-chart="attention_cost"' in html(report_input)


def test_there_is_none_where_attention_or_what_was_trained_is_not_told(report_input: ReportInput) -> None:
    bare = [{name: told for name, told in entry.items() if name != "samples"} for entry in report_input.attention]
    assert attention_cost(replace(report_input, attention=bare)) is None
    assert attention_cost(replace(report_input, manifests=[])) is None
