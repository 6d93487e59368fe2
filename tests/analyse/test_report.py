"""The report is one file that loads nothing, escapes everything and says what is missing."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from steering.analyse import gallery
from steering.analyse.report import ReportInput, draw, html, render, write_figures

ATTACK = "<script>alert('x')</script>"


class Tags(HTMLParser):
    """Every address that the page would load, and every text outside scripts and styles."""

    def __init__(self, page: str):
        super().__init__()
        self.loads: list[str] = []
        self.names: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "srcset", "href", "data", "action")]


@pytest.fixture
def page(report_input: ReportInput) -> str:
    return html(report_input)


def test_nothing_is_loaded_from_outside(page: str) -> None:
    loads = Tags(page).loads
    assert loads and all(address.startswith(("data:image/", "#")) for address in loads)
    assert "default-src 'none'" in page
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style and "url(" not in style[1] and "@import" not in style[1]


def test_vega_is_inside_once_and_the_page_is_small(page: str) -> None:
    assert page.count("window.vegaEmbed=") == 1
    assert len(page) < 6_000_000


def test_the_file_is_written_whole(report_input: ReportInput, tmp_path: Path) -> None:
    render(report_input, tmp_path / "new" / "report.html")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.html"]
    assert (tmp_path / "new" / "report.html").read_text().endswith("</html>\n")


def test_rendering_twice_gives_the_same_page(report_input: ReportInput) -> None:
    assert html(report_input) == html(report_input)


def test_text_from_data_is_escaped_wherever_it_stands(report_input: ReportInput) -> None:
    run = "embedded/icons/none/seed0"
    answers = [{**record, "answer": ATTACK} for record in report_input.predictions[run]["icons-pope"]]
    said = {**report_input.predictions, run: {**report_input.predictions[run], "icons-pope": answers}}
    rename = {"none": f"none{ATTACK}"}
    hurt = replace(
        report_input,
        title=ATTACK,
        description=ATTACK,
        control=rename["none"],
        arms=[rename.get(arm, arm) for arm in report_input.arms],
        scores=[
            {**s, "arm": rename.get(s["arm"], s["arm"]), "protocol": {ATTACK: ATTACK}} for s in report_input.scores
        ],
        manifests=[
            {**m, "arm": rename.get(m["arm"], m["arm"]), "settings": {ATTACK: ATTACK}} for m in report_input.manifests
        ],
        predictions=said,
        sources=[{"name": ATTACK, "licence": ATTACK}],
        notes=[ATTACK],
        world={"name": ATTACK},
    )
    page = html(hurt)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert Tags(page).names.count("script") == 3


def test_charts_are_valid_json(page: str) -> None:
    found = re.search(r'<script type="application/json" id="charts">(.*?)</script>', page, re.DOTALL)
    assert found
    assert set(json.loads(found[1])) == {
        "differences",
        "scores",
        "pareto",
        "losses",
        "lmar",
        "visual_share",
        "attention_cost",
        "seeds",
    }


def test_the_reading_claims_only_what_is_shown(page: str) -> None:
    assert "<b>lora</b> scores higher than <b>none</b> on icons-pope (+35.7" in page
    assert "<b>mores_b</b> shows no difference to <b>none</b> on any benchmark" in page
    assert "No difference shown is not the same as no" in page


def test_the_first_sentence_is_about_all_benchmarks_together(page: str) -> None:
    first = page[page.index('<ul class="reading">') :].split("<li>")[1]
    assert first.startswith("Over all benchmarks together, higher than <b>none</b>: lora (+")
    assert 'id="overall"' in page


@pytest.fixture
def started(report_input: ReportInput) -> ReportInput:
    """The experiment as one whose runs start from the run of `none` of their seed."""
    starts = [{**score, "arm": "start"} for score in report_input.scores if score["arm"] == "none"]
    return replace(report_input, starts=starts)


def test_where_runs_start_from_a_tuned_one_each_arm_is_held_against_it(started: ReportInput, page: str) -> None:
    own = html(started)
    assert "Over all benchmarks together, higher than <b>start</b>: lora (+" in own
    assert 'id="over-start"' in own and 'id="figure-over_start"' in own and "the tuned model that every run" in own
    assert 'id="over-start"' not in page and "<b>start</b>" not in page


def test_a_start_is_a_row_but_no_arm_and_changes_no_other_number(
    started: ReportInput, report_input: ReportInput
) -> None:
    drawn, plain = draw(started), draw(report_input)
    (row,) = (row for row in drawn.rows if row.arm == "start")
    (like,) = (row for row in drawn.rows if row.arm == "none")
    assert row.trainable_all == 0
    assert {name: cell.value for name, cell in row.cells.items()} == {n: cell.value for n, cell in like.cells.items()}
    assert not any(cell.best for cell in row.cells.values())
    assert [r for r in drawn.rows if r.arm != "start"] == plain.rows
    assert drawn.differences.equals(plain.differences) and drawn.overall.equals(plain.overall)
    same = drawn.over_start.set_index("arm").loc["none"]
    assert (same["difference"], same["verdict"]) == (0, "no difference shown")


def test_sources_keep_their_licence_and_attribution(page: str) -> None:
    assert "CC BY-SA 4.0" in page and "OpenMoji project" in page


def test_a_failed_arm_and_one_that_never_ran_are_named(report_input: ReportInput) -> None:
    manifests = [{**m, "state": "diverged"} if m["arm"] == "lora" else m for m in report_input.manifests]
    scores = [score for score in report_input.scores if score["arm"] != "lora"]
    page = html(replace(report_input, scores=scores, manifests=manifests, arms=[*report_input.arms, "oft"]))
    assert "lora on icons-pope (failed)" in page
    assert "oft on icons-pope (not run)" in page
    assert '<span class="absent">not run</span>' in page
    assert "diverged" in page


def test_guessers_are_explained_where_there_are_any(report_input: ReportInput, page: str) -> None:
    told = "neither sees a picture"
    alone = [{**score, "baselines": {}} for score in report_input.scores]
    assert told in page
    assert told not in html(replace(report_input, scores=alone))


def test_a_missing_seed_is_named(report_input: ReportInput) -> None:
    scores = [score for score in report_input.scores if (score["arm"], score["seed"]) != ("lora", 1)]
    assert "lora, seed 1" in html(replace(report_input, scores=scores))


def test_an_experiment_without_any_result_still_gives_a_page(report_input: ReportInput) -> None:
    bare = replace(report_input, scores=[], attention=[], manifests=[], metrics={}, predictions={})
    page = html(bare)
    assert "There is nothing to compare with" in page
    assert "not run" in page


def test_figures_and_tables_are_written_as_files(report_input: ReportInput, tmp_path: Path) -> None:
    write_figures(report_input, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} >= {"table.csv", "table.md", "pareto.png", "lmar.png"}


def test_the_gallery_mixes_agreement_and_disagreement() -> None:
    patterns = {f"r{n}": (True, True) for n in range(50)} | {f"w{n}": (False, False) for n in range(50)}
    patterns |= {f"a{n}": (True, False) for n in range(50)} | {f"b{n}": (False, True) for n in range(2)}
    chosen = gallery.choose(patterns)
    kinds = [key[0] for key in chosen]
    assert {kind: kinds.count(kind) for kind in "rwab"} == {"r": 3, "w": 3, "a": 4, "b": 2}
    assert gallery.choose(dict(reversed(patterns.items()))) == chosen


def test_a_gallery_fills_up_where_a_kind_is_missing() -> None:
    assert len(gallery.choose({str(n): (True, True) for n in range(50)})) == 12
    assert gallery.choose({}) == []


def test_cards_tell_who_was_right(report_input: ReportInput) -> None:
    record = {"id": "1", "image": None, "question": "q", "prompt": "p", "target": "A", "choices": ["x", "y"]}
    answers = {"none": [{**record, "answer": "B"}], "lora": [{**record, "answer": "A."}]}
    (card,) = gallery.cards(
        "b", answers, {"none": {"1": 0.0}, "lora": {"1": 1.0}}, control="none", picture=report_input.picture
    )
    assert (card.truth, [said.answer for said in card.said], card.picture) == ("A: x", ["B: y", "A: x"], "")
    assert card.tags == ("all", "disagree", "won-lora")


def test_large_pictures_are_shrunk() -> None:
    import io
    import os

    from PIL import Image

    file = io.BytesIO()
    Image.frombytes("RGB", (900, 600), os.urandom(900 * 600 * 3)).save(file, "PNG")
    assert len(gallery.data_address(file.getvalue())) < 120_000
