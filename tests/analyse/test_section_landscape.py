"""The landscape's section: there where something was measured, on one scale, with differences to the control."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steering.analyse import rendering
from steering.analyse.report import ReportInput, html
from steering.analyse.sections import landscape

RISES = {"none": 0.05, "mores_b": 0.05, "lora": 0.6}
AXIS = [-1.0, -0.5, 0.0, 0.5, 1.0]
LOSS = sum(6.0 + 0.3 * number for number in range(12)) / 36
NAMES = [str(number) for number in range(12)]


def record(arm: str, seed: int) -> dict[str, Any]:
    trained = [6.0 + 0.3 * number for number in range(12)]
    rise = RISES[arm]
    rays = [[[loss * (1 + rise * (1 + 0.1 * ray)) for loss in trained], trained] for ray in range(5)]
    return {
        "run": f"embedded/icons/{arm}/seed{seed}",
        "arm": arm,
        "seed": seed,
        "axis": AXIS,
        "radius": 0.5,
        "loss": [[LOSS + 4 * rise * (a * a + b * b) for a in AXIS] for b in AXIS],
        "cosine": -0.004,
        "sums": {"trained": trained, "rays": rays},
        "conversations": {"n": 12, "ids": NAMES, "groups": NAMES, "tokens": [3] * 12},
        "trained": {"connector": {"parameters": 1000}},
        "protocol": {"loss": "of training"},
    }


@pytest.fixture
def measured(report_input: ReportInput, tmp_path: Path) -> Callable[..., ReportInput]:
    def put(arms: Mapping[str, int] = dict.fromkeys(RISES, 1), **changes: Any) -> ReportInput:
        analyses = {}
        for arm, seeds in arms.items():
            for seed in range(seeds):
                folder = tmp_path / arm / str(seed)
                folder.mkdir(parents=True)
                told = record(arm, seed)
                (folder / "landscape.json").write_text(json.dumps(told | changes))
                analyses[told["run"]] = {"landscape": folder}
        return replace(report_input, analyses=analyses)

    return put


def test_it_is_absent_where_nothing_was_measured(report_input: ReportInput) -> None:
    assert landscape.section(report_input) is None
    assert 'id="landscape"' not in html(report_input)


def test_arms_are_compared_with_the_control(measured: Callable) -> None:
    found = landscape.section(measured())
    assert found is not None
    control, same, sharp = found.facts["rows"]
    assert "difference" not in control
    assert same["verdict"] == "no difference shown"
    assert sharp["verdict"] == "sharper"
    assert sharp["rise"] == pytest.approx(100 * 0.6 * 1.2 / 2)
    assert sharp["worst"] == pytest.approx(100 * 4 * 0.6 * 0.25 / LOSS)
    assert "| lora |" in found.text


def test_all_planes_share_one_logarithmic_scale(measured: Callable) -> None:
    found = landscape.section(measured())
    spec = rendering.specification(found.charts["landscape"])
    assert spec["facet"]["sort"] == list(RISES)
    (colour,) = [layer["encoding"]["color"] for layer in spec["spec"]["layer"] if "color" in layer["encoding"]]
    assert colour["scale"]["type"] == "log"
    assert spec["resolve"] == {"axis": {"x": "independent"}}
    (rows,) = spec["datasets"].values()
    assert len(rows) == 3 * 25


def test_several_seeds_are_taken_together_and_the_plane_is_of_the_first(measured: Callable) -> None:
    told = measured({"none": 2, "lora": 2})
    found = landscape.section(told)
    assert found.facts["seeds"] == 2
    assert "resample training seeds" in html(told)
    (rows,) = rendering.specification(found.charts["landscape"])["datasets"].values()
    assert len(rows) == 2 * 25


def test_without_the_control_nothing_is_compared(measured: Callable) -> None:
    told = measured({"lora": 1})
    (row,) = landscape.section(told).facts["rows"]
    assert "difference" not in row
    assert "not compared" in html(told)


def test_a_point_without_a_finite_loss_is_left_blank(measured: Callable) -> None:
    loss = [[None, *[2.5] * 4], *[[2.5] * 5] * 4]
    found = landscape.section(measured({"none": 1}, loss=loss))
    (rows,) = rendering.specification(found.charts["landscape"])["datasets"].values()
    assert len(rows) == 24


def test_the_page_shows_it_and_says_what_it_does_not_say(measured: Callable, tmp_path: Path) -> None:
    told = measured()
    page = html(told)
    assert 'href="#landscape"' in page and 'data-chart="landscape"' in page
    assert "sharpness depends on how a method is written down" in page
    rendering.save_png(landscape.section(told).charts["landscape"], tmp_path / "landscape.png")
    assert (tmp_path / "landscape.png").stat().st_size > 10_000
