"""The index tells of every experiment, done or not, and never fails for what is missing or broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from steering import layout
from steering.analyse import index
from steering.manifest import digest, write_json
from steering.params import load
from steering.plan import Plan

ROOT = Path(__file__).resolve().parents[2]
REPORT = layout.experiment("table") / "report.html"
AGAINST = {"difference": 5.25, "low": 1.0, "high": 9.5, "p_holm": 0.01}
METRICS = {"none": {"shapes": {"score": 40.0}}, "edit": {"against_control": AGAINST}}
ATTACK = "<script>alert(1)</script>"


@pytest.fixture
def plan(tmp_path, monkeypatch) -> Plan:
    """Of the example with a third experiment that has no data, in an empty project."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "tests/example.yaml").read_text(encoding="utf-8")
    sized = "  sized: {title: Sized, question: How large, world: small, arms: [none], seeds: [0]}\n"
    Path("params.yaml").write_text(text.replace("\narms:\n", f"{sized}\narms:\n", 1), encoding="utf-8")
    return Plan(load(Path("params.yaml")))


@pytest.fixture
def entries(plan) -> Callable[[], dict[str, index.Entry]]:
    """What the index tells now, where the workflow knows the report to be today's."""

    def telling() -> dict[str, index.Entry]:
        today = digest(plan.report("table"))
        return {name: index.entry(plan, name, recorded=lambda _: today) for name in plan.params.experiments}

    return telling


def put_scores(plan: Plan, count: int) -> None:
    for run in plan.runs("table")[:count]:
        names = (run.world, run.data, run.arm, run.seed)
        write_json(layout.outcome(*names) / "scores.json", [])
        write_json(layout.run(*names) / "manifest.json", {"finished": f"2026-01-0{2 + run.seed}T03:04:05+00:00"})


def put_report() -> None:
    write_json(REPORT.parent / "metrics.json", METRICS)
    REPORT.write_text("<p>")
    (REPORT.parent / "table.md").write_text("| |")
    Image.new("RGB", (1400, 500), "white").save(REPORT.parent / "differences.png")


def test_nothing_there_is_not_run_and_without_data_sized_only(entries):
    assert {name: entry.state for name, entry in entries().items()} == {
        "table": "none",
        "longer": "none",
        "sized": "sized",
    }


def test_some_scores_are_part_of_an_experiment(plan, entries):
    put_scores(plan, 2)
    told = entries()["table"]
    assert (told.state, told.there, told.runs, told.links) == ("partly", 2, 3, [])
    assert "partly, 2 of 3 runs" in index.html([told])


def test_a_report_of_what_came_through_is_linked(plan, entries):
    put_scores(plan, 1)
    (layout.partial_report("table")).mkdir(parents=True)
    (layout.partial_report("table") / "report.html").write_text("<p>")
    assert entries()["table"].links == [("partial report.html", "table/partial/report.html")]


def test_a_report_has_its_date_its_finding_with_an_interval_and_its_links(plan, entries):
    put_scores(plan, 3)
    put_report()
    told = entries()["table"]
    assert (told.state, told.date) == ("done", "2026-01-02")
    (sentence,) = told.finding
    assert sentence == "Over all benchmarks together, higher than <b>none</b>: edit (+5.2\u00a0[+1.0, +9.5])."
    assert told.links == [("report.html", "table/report.html"), ("table.md", "table/table.md")]
    page = index.html([told])
    assert 'href="table/report.html"' in page and sentence in page
    assert told.picture.startswith("data:image/png;base64,") and told.picture in page


def test_a_report_of_other_params_is_of_before(plan):
    put_report()
    assert index.entry(plan, "table", recorded=lambda _: "0123").state == "before"
    assert index.entry(plan, "table", recorded=lambda _: None).state == "before"


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"edit": 3}', '{"edit": {"against_control": {"difference": "x"}}}'])
def test_numbers_that_cannot_be_read_are_no_finding(entries, text):
    put_report()
    (REPORT.parent / "metrics.json").write_text(text)
    assert entries()["table"].finding == []


def test_a_broken_figure_gives_way_to_the_next(entries):
    put_report()
    (REPORT.parent / "differences.png").write_bytes(b"no picture")
    assert entries()["table"].picture == ""
    Image.new("RGB", (10, 10), "red").save(REPORT.parent / "scores.png")
    assert entries()["table"].picture.startswith("data:image/png")


def test_thumbnails_are_small(tmp_path):
    Image.effect_noise((1800, 900), 80).save(tmp_path / "noise.png")
    assert len(index.thumbnail(tmp_path / "noise.png")) < 400_000


def test_the_page_names_every_experiment_and_escapes_what_they_say(plan):
    text = Path("params.yaml").read_text().replace("title: A table", f"title: {ATTACK!r}")
    Path("params.yaml").write_text(text)
    index.write_index(Plan(load(Path("params.yaml"))), layout.INDEX, recorded=lambda _: None)
    page = layout.INDEX.read_text(encoding="utf-8")
    assert all(f'id="{name}"' in page for name in plan.params.experiments)
    assert "<script" not in page and "&lt;script&gt;" in page
    assert [path.name for path in layout.INDEX.parent.iterdir()] == ["index.html"]


def test_what_there_is_to_read_comes_first_and_what_cannot_be_run_last(entries):
    put_report()
    told = entries()
    page = index.html([told["sized"], told["longer"], told["table"]])
    assert sorted(told, key=lambda name: page.index(f'id="{name}"')) == ["table", "longer", "sized"]
