"""The section of editing depth is there where three arms differ in nothing but how deep they edit, and only there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from steering.analyse import rendering
from steering.analyse.report import ReportInput, html
from steering.analyse.sections import depth

MORES = {"method": "mores", "rank": 1, "placement": "output"}
DEPTHS = {"layers": 30, "vision_layers": 14}
CHOSEN = {"none": {"method": "none"}, "one": {**MORES, "layers": "first_4"}, "two": {**MORES, "layers": [0, 1]}}
CHOSEN |= {"three": {**MORES, "layers": "all"}}
SCORED_AS = {"none": "none", "one": "mores_b", "two": "mores_b", "three": "lora"}


def told(report_input: ReportInput, settings: dict[str, dict[str, Any]], **changes: Any) -> ReportInput:
    """The invented experiment with its scores under the names of the arms of *settings*."""
    own = {arm: SCORED_AS.get(arm, "lora") for arm in settings}
    scores = [{**s, "arm": arm} for arm, of in own.items() for s in report_input.scores if s["arm"] == of]
    manifests = [
        {**m, "arm": arm, "run": f"w/d/{arm}/seed{m['seed']}", "settings": settings[arm]}
        for arm, of in own.items()
        for m in report_input.manifests
        if m["arm"] == of
    ]
    bare = replace(report_input, metrics={}, predictions={}, attention=[])
    return replace(bare, arms=list(settings), scores=scores, manifests=manifests, depths=DEPTHS, **changes)


def test_depths_come_from_the_schedules_not_from_names(report_input: ReportInput) -> None:
    found = depth.section(told(report_input, CHOSEN))
    assert found is not None
    assert [(row["arm"], row["layers"]) for row in found.facts["rows"]] == [("two", 2), ("one", 4), ("three", 30)]
    assert found.facts["names"] == ["mores, language model"]
    assert "| mores, language model | two | 2 |" in found.text


@pytest.mark.parametrize(
    "third",
    [
        {**MORES, "rank": 2, "layers": "all"},
        {**MORES, "layers": "deep"},
        {**MORES, "layers": [3, 9]},
        {**MORES, "layers": [0, 1, 2, 3]},
        {"method": "lora"},
    ],
    ids=["another rank", "not from the first", "a list with gaps", "a depth that is there", "another method"],
)
def test_it_is_absent_where_two_depths_are_all_there_are(third: dict[str, Any], report_input: ReportInput) -> None:
    report = told(report_input, CHOSEN | {"three": third})
    assert depth.section(report) is None
    assert 'id="depth"' not in html(report)


def test_depth_in_the_vision_encoder_is_a_line_of_its_own(report_input: ReportInput) -> None:
    mrt = {"method": "mrt", "vision_rank": 6, "layers": "all"}
    seen = {f"v{n}": {**mrt, "vision_layers": f"first_{n}"} for n in (2, 7)} | {"whole": mrt}
    found = depth.section(told(report_input, CHOSEN | seen))
    rows = [(row["series"], row["layers"]) for row in found.facts["rows"]]
    assert rows[3:] == [("mrt, vision encoder", n) for n in (2, 7, 14)]
    spec = rendering.specification(found.charts["depth"])
    domains = [layer["encoding"]["color"]["scale"]["domain"] for layer in spec["layer"] if "color" in layer["encoding"]]
    assert domains == [["mores, language model", "mrt, vision encoder"]] * 3


def test_two_series_of_one_method_are_told_apart(report_input: ReportInput) -> None:
    wide = {arm: {**settings, "rank": 4} for arm, settings in CHOSEN.items() if arm != "none"}
    both = CHOSEN | {f"wide_{arm}": settings for arm, settings in wide.items()}
    names = depth.section(told(report_input, both)).facts["names"]
    assert len(set(names)) == 2 and all(name.startswith("mores, language model (") for name in names)


def test_the_control_is_a_line(report_input: ReportInput) -> None:
    found = depth.section(told(report_input, CHOSEN))
    marks = [layer["mark"]["type"] for layer in rendering.specification(found.charts["depth"])["layer"]]
    assert marks == ["rect", "rule", "line", "rule", "point"]
    without = depth.section(told(report_input, {arm: told for arm, told in CHOSEN.items() if arm != "none"}))
    assert len(rendering.specification(without.charts["depth"])["layer"]) == 3


def test_an_arm_without_a_score_has_no_point(report_input: ReportInput) -> None:
    report = told(report_input, CHOSEN)
    report = replace(report, scores=[score for score in report.scores if score["arm"] != "one"])
    assert [row["arm"] for row in depth.section(report).facts["rows"]] == ["two", "three"]


def test_the_page_shows_it(report_input: ReportInput) -> None:
    page = html(told(report_input, CHOSEN))
    assert 'href="#depth"' in page and 'data-chart="depth"' in page
