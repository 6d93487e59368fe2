"""The report's maps: the same scale for all arms, nothing loaded, everything escaped, and a page that stays small."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steering.analyse.report import ReportInput, html
from steering.analyse.sections.maps import Found, maps
from steering.manifest import read_json, write_json
from tests.analyse.invented_maps import LAYERS, folder

ARMS = ("none", "mores_b", "lora")


@pytest.fixture
def mapped(report_input: ReportInput, tmp_path: Path) -> ReportInput:
    """Both seeds of every arm have maps."""
    runs = {f"embedded/icons/{arm}/seed{seed}": (arm, seed) for seed in (1, 0) for arm in ARMS}
    analyses = {run: {"maps": folder(tmp_path / run, arm, seed=seed)} for run, (arm, seed) in runs.items()}
    return replace(report_input, analyses=analyses)


def test_there_is_none_where_no_run_has_maps(report_input: ReportInput) -> None:
    assert maps(report_input) is None


def test_each_arm_shows_its_first_seed_in_every_layer(mapped: ReportInput) -> None:
    section = maps(mapped)
    assert section
    own = Found.read(mapped.analyses["embedded/icons/lora/seed0"]["maps"])
    first = section.facts["questions"][0]
    assert list(first.looks) == LAYERS
    assert [look.arm for look in first.looks[10]] == list(ARMS)
    assert first.looks[10][2].share == pytest.approx(own.arrays["0.layer10.visual"].astype(float).sum(1).mean())


def test_the_fullest_colour_is_the_largest_of_all_arms(mapped: ReportInput) -> None:
    section = maps(mapped)
    assert section
    runs = [Found.read(mapped.analyses[f"embedded/icons/{arm}/seed0"]["maps"]) for arm in ARMS]
    for number, asked in enumerate(section.facts["questions"]):
        for layer in LAYERS:
            assert asked.tops[layer] == max(run.looked(number, layer).max() for run in runs)


def test_only_questions_that_all_arms_were_asked_are_shown(mapped: ReportInput) -> None:
    path = mapped.analyses["embedded/icons/lora/seed0"]["maps"] / "maps.json"
    told = read_json(path)
    write_json(path, {**told, "questions": [{**told["questions"][0], "id": "another"}, *told["questions"][1:]]})
    section = maps(mapped)
    assert section and [asked.question[:10] for asked in section.facts["questions"]] == ["How many 1", "How many 2"]


def test_a_picture_without_a_grid_has_its_maps_alone(mapped: ReportInput) -> None:
    for run in mapped.analyses.values():
        told = read_json(run["maps"] / "maps.json")
        questions = [{**question, "grid": None} for question in told["questions"]]
        write_json(run["maps"] / "maps.json", {**told, "questions": questions})
    page = html(mapped)
    assert 'class="whole"' in page and 'class="seen"' not in page


def test_the_page_shows_questions_and_answers_escaped_and_loads_nothing(mapped: ReportInput) -> None:
    page = html(mapped)
    part = page[page.index('<section id="maps">') : page.index('<section id="questions">')]
    assert "How many 0s &amp; &lt;b&gt;?" in part and "(nothing)" in part
    assert re.findall(r"url\((?!data:image/)", part) == re.findall(r'src="(?!data:image/)', part) == []
    assert part.count('class="whole"') == 3 * len(ARMS) * len(LAYERS)
    assert len(re.findall(r'data-of-layer="1">', part)) == 3  # the others are hidden
    assert 'data-layer="30"' in part


def test_the_table_tells_the_share_on_the_picture(mapped: ReportInput) -> None:
    section = maps(mapped)
    assert section and "| arm | layer 1, % | layer 10, % |" in section.text and "| mores_b |" in section.text


def sized(report: ReportInput, at: Path, **sizes: Any) -> int:
    """Bytes that maps of eight arms add to the page."""
    arms = [f"arm{number}" for number in range(8)]
    manifests = [{**report.manifests[0], "arm": arm, "run": arm, "seed": 0} for arm in arms]
    bare = replace(report, arms=arms, manifests=manifests, scores=[], attention=[], predictions={}, metrics={})
    analyses = {arm: {"maps": folder(at / arm, arm, **sizes)} for arm in arms}
    return len(html(replace(bare, analyses=analyses))) - len(html(bare))


@pytest.mark.parametrize(("side", "words"), [(4, 24), pytest.param(27, 70, marks=pytest.mark.slow)])
def test_eight_arms_add_less_than_a_megabyte_and_a_half(
    side: int, words: int, report_input: ReportInput, tmp_path: Path
) -> None:
    assert sized(report_input, tmp_path, side=side, words=words) < 1_500_000
