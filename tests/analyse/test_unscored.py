"""What has no score is told in words everywhere: in its cell, in a footnote, in a sentence; and is in no mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from steering.analyse import tables, unscored, written
from steering.analyse.report import ReportInput, draw, html, write_figures

Scores = list[dict[str, Any]]
WHY = "no judge is set"


def entry(run: str, benchmark: str = "mmvet", why: str = WHY) -> dict[str, Any]:
    arm, seed = run.split("/")[2], int(run[-1])
    about = {"world": "embedded", "data": "icons", "arm": arm, "seed": seed, "run": run, "n": 218}
    return {**about, "benchmark": benchmark, "split": "test", "protocol": {"decoding": "generation"}, "unscored": why}


def entries(scores: Scores, benchmark: str = "mmvet") -> list[dict[str, Any]]:
    return [entry(run, benchmark) for run in dict.fromkeys(score["run"] for score in scores)]


@pytest.fixture
def told(report_input: ReportInput, scores: Scores) -> ReportInput:
    """A report of a fourth benchmark that nobody could score."""
    return replace(report_input, benchmarks=[*report_input.benchmarks, "mmvet"], unscored=entries(scores))


def test_one_reason_for_all_is_one_footnote_without_names() -> None:
    found = [entry(f"w/d/{arm}/seed{seed}") for arm in ("none", "lora") for seed in (0, 1)]
    assert unscored.footnotes(found) == ["mmvet is not scored: no judge is set."]


def test_runs_are_named_where_reasons_differ_or_others_have_a_score() -> None:
    found = [entry("w/d/none/seed0"), entry("w/d/lora/seed0", why="HTTP 500")]
    assert unscored.footnotes(found) == [
        "mmvet is not scored in w/d/none/seed0: no judge is set.",
        "mmvet is not scored in w/d/lora/seed0: HTTP 500.",
    ]
    many = [entry(f"w/d/none/seed{seed}") for seed in range(5)]
    assert unscored.footnotes(many, [{"benchmark": "mmvet"}]) == [
        "mmvet is not scored in w/d/none/seed0, w/d/none/seed1, w/d/none/seed2 and 2 more: no judge is set."
    ]


def test_cells_say_not_scored_and_guessers_say_that_there_are_none(told: ReportInput) -> None:
    rows = {row.arm: row.cells["mmvet"].state for row in draw(told).rows}
    assert {rows[arm] for arm in told.arms} == {"not scored"}
    assert {rows[name] for name in tables.BASELINES} == {"no guesser"}


def test_means_and_differences_are_as_without_it(told: ReportInput, report_input: ReportInput) -> None:
    ours, theirs = draw(told), draw(report_input)
    assert ours.table.equals(theirs.table)
    assert ours.overall.equals(theirs.overall)
    assert ours.differences.equals(theirs.differences)


def test_an_arm_that_alone_has_no_score_is_in_no_mean(scores: Scores) -> None:
    name = scores[0]["benchmark"]
    kept = [score for score in scores if (score["arm"], score["benchmark"]) != ("lora", name)]
    assert set(tables.means(kept)["arm"]) == {score["arm"] for score in scores} - {"lora"}


def test_the_page_and_the_table_say_why(told: ReportInput, tmp_path, monkeypatch) -> None:
    assert html(told).count("mmvet is not scored: no judge is set.") == 2  # among the sentences and below the table
    monkeypatch.setattr("steering.analyse.rendering.save_png", lambda chart, path: None)
    write_figures(told, tmp_path)
    text = (tmp_path / "table.md").read_text()
    assert "\nmmvet is not scored: no judge is set.\n" in text
    assert " not scored |" in text
    assert "mmvet" not in (tmp_path / "table.csv").read_text()


def test_a_reason_is_escaped_on_the_page(report_input: ReportInput) -> None:
    bad = replace(report_input, unscored=[entry("w/d/none/seed0", why="<script>alert(1)</script>")])
    assert "<script>alert(1)" not in html(bad)


def test_a_world_in_which_nothing_is_scored_has_a_page(report_input: ReportInput, scores: Scores) -> None:
    found = [one for name in report_input.benchmarks for one in entries(scores, name)]
    empty = replace(report_input, scores=[], unscored=found)
    assert "is not scored: no judge is set." in html(empty)
    assert written.wide(draw(empty).rows).astype(str).stack().str.contains("not scored").sum() == 9
