"""Figures show every arm in its own colour, place a zero honestly and are whole Vega-Lite charts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from steering.analyse import figures, rendering

ARMS = ["none", "mores_b", "lora"]


def rows(**columns: list[Any]) -> pd.DataFrame:
    return pd.DataFrame(columns)


@pytest.fixture
def means() -> pd.DataFrame:
    values = {"value": [0.4, 0.55, 0.5], "low": [0.3, 0.5, 0.4], "high": [0.5, 0.6, 0.6]}
    return rows(arm=ARMS, trainable_llm=[0, 34_590, 460_800], **values)


@pytest.fixture
def layers() -> pd.DataFrame:
    flat = [(arm, layer, 0.5, 0.4, 0.6) for arm in ARMS for layer in range(1, 31)]
    return pd.DataFrame(flat, columns=["arm", "layer", "value", "low", "high"])


@pytest.fixture
def differences() -> pd.DataFrame:
    return rows(
        arm=["mores_b", "lora"],
        benchmark=["a", "a"],
        difference=[1.0, 9.0],
        low=[-2.0, 4.0],
        high=[4.0, 14.0],
        p_holm=[0.5, 0.01],
        verdict=["no difference shown", "higher"],
    )


def encodings(chart: Any, channel: str) -> list[dict[str, Any]]:
    return [
        layer["encoding"][channel]
        for layer in rendering.specification(chart)["layer"]
        if channel in layer.get("encoding", {})
    ]


def test_a_ratio_has_a_logarithmic_axis_and_a_share_begins_at_zero(layers: pd.DataFrame) -> None:
    ratio, share = figures.lmar(layers.assign(variant="v"), ARMS), figures.visual_share(layers, ARMS)
    assert [y["scale"]["type"] for y in encodings(ratio, "y")] == ["log", "log"]
    assert [y["scale"] for y in encodings(share, "y")] == [{"zero": True}] * 2


def test_an_arm_has_one_colour_in_every_figure(
    means: pd.DataFrame, layers: pd.DataFrame, differences: pd.DataFrame
) -> None:
    curves = rows(arm=ARMS, seed=[0, 0, 0], step=[1, 1, 1], loss=[1.0, 2.0, 3.0])
    references = rows(arm=["blind"], benchmark=["a"], value=[0.5], low=[0.4], high=[0.6])
    charts = [
        figures.pareto(means, ARMS),
        figures.losses(curves, ARMS),
        figures.lmar(layers.assign(variant="v"), ARMS),
        figures.visual_share(layers, ARMS),
        figures.by_benchmark(means.assign(benchmark="a"), ARMS, references),
        figures.forest(differences, ARMS, "none"),
    ]
    expected = figures.arm_colours(ARMS)
    for chart in charts:
        for colour in encodings(chart, "color"):
            shown = dict(zip(colour["scale"]["domain"], colour["scale"]["range"], strict=True))
            assert shown == {arm: expected[arm] for arm in shown}


@pytest.mark.parametrize("names", [[], ["blind"], ["start", "blind", "majority"]])
def test_the_legend_of_ticks_names_those_that_there_are(names: list[str], means: pd.DataFrame, tmp_path: Path) -> None:
    empty = rows(arm=names, benchmark=["a"] * len(names), value=[0.2] * len(names), low=[0.1] * len(names))
    chart = figures.by_benchmark(means.assign(benchmark="a"), ARMS, empty.assign(high=empty["value"]))
    assert [scale["scale"]["domain"] for scale in encodings(chart, "fill")] == ([names] if names else [])
    rendering.save_png(chart, tmp_path / "chart.png")


def test_two_dozen_arms_have_no_mark_and_a_dozen_no_colour_in_common(means: pd.DataFrame) -> None:
    arms = [f"arm{number}" for number in range(24)]
    chart = figures.pareto(means.assign(arm=arms[:3]), arms)
    colours, shapes = (encodings(chart, channel)[-1]["scale"]["range"] for channel in ("color", "shape"))
    assert len(set(zip(colours, shapes, strict=True))) == 24 and len(set(colours[:12])) == 12


def test_arms_beyond_the_palette_still_get_a_colour() -> None:
    assert len(figures.arm_colours([str(number) for number in range(20)])) == 20


def test_zero_parameters_stand_left_of_the_smallest_decade_under_a_true_zero(means: pd.DataFrame) -> None:
    zero, ticks = figures._zero_and_ticks(means["trainable_llm"])
    assert (zero, ticks) == (3.0, [3.0, 4.0, 5.0, 6.0])
    axis = encodings(figures.pareto(means, ARMS), "x")[0]["axis"]
    assert "datum.value <= 3.0 ? '0'" in axis["labelExpr"]


def test_arms_that_all_train_something_need_no_zero(means: pd.DataFrame) -> None:
    _, ticks = figures._zero_and_ticks(means["trainable_llm"][1:])
    assert ticks == [4.0, 5.0, 6.0]


def test_a_very_small_p_is_told_as_the_tables_tell_it(differences: pd.DataFrame) -> None:
    chart = figures.forest(differences.assign(p_holm=[0.5, 1e-7]), ARMS, "none")
    drawn = [row for rows in rendering.specification(chart)["datasets"].values() for row in rows]
    assert [row["p_told"] for row in drawn if "p_told" in row] == ["0.500", "<0.001"]


def test_broken_numbers_are_drawn_with_six_digits_and_counts_whole(means: pd.DataFrame) -> None:
    counts = [0.0, 34_590.0, 134_515_008.0]
    chart = figures.pareto(means.assign(value=[1 / 3, 2e-7 / 3, 12345.6789], trainable_llm=counts), ARMS)
    drawn = [row for rows in rendering.specification(chart)["datasets"].values() for row in rows if "value" in row]
    assert {row["value"] for row in drawn} == {0.333333, 6.66667e-08, 12345.7}
    assert {row["trainable_llm"] for row in drawn} == set(counts)


@pytest.mark.parametrize(("high", "end"), [(1.0, 100), (1.4, None)])
def test_the_axis_of_scores_ends_at_100_unless_one_is_beyond(means: pd.DataFrame, high: float, end: int | None) -> None:
    chart = figures.by_benchmark(means.assign(benchmark="a", high=high), ARMS, means.iloc[:0].assign(benchmark="a"))
    assert {x["scale"].get("domainMax") for x in encodings(chart, "x")} == {end}


def test_the_front_leaves_out_what_costs_more_and_scores_less(means: pd.DataFrame) -> None:
    assert list(figures._front(means)["arm"]) == ["none", "mores_b"]


def test_of_equal_scores_the_cheaper_one_is_on_the_front(means: pd.DataFrame) -> None:
    assert list(figures._front(means.assign(value=0.5))["arm"]) == ["none"]


def test_smoothing_keeps_a_constant_and_thins_long_runs() -> None:
    steps = list(range(5000))
    curves = rows(arm=["none"] * 5000, seed=[0] * 5000, step=steps, loss=[2.0] * 5000)
    smooth = figures.smooth(curves)
    assert smooth["loss"].tolist() == pytest.approx([2.0] * len(smooth))
    assert len(smooth) <= figures.POINTS_PER_CURVE + 2


def test_a_diverged_run_ends_its_curve_where_it_diverged() -> None:
    curves = rows(arm=["none"] * 3, seed=[0] * 3, step=[1, 2, 3], loss=[2.0, float("nan"), float("nan")])
    assert figures.smooth(curves)["step"].tolist() == [1]


def test_the_forest_leaves_the_control_out(differences: pd.DataFrame) -> None:
    chart = figures.forest(differences, ARMS, "none")
    assert encodings(chart, "color")[0]["scale"]["domain"] == ["mores_b", "lora"]


def test_a_specification_is_plain_json_without_a_background(means: pd.DataFrame) -> None:
    spec = json.loads(json.dumps(rendering.specification(figures.pareto(means, ARMS))))
    assert (spec["background"], spec["width"]) == ("transparent", "container")


def test_a_figure_becomes_a_png(means: pd.DataFrame, tmp_path: Path) -> None:
    rendering.save_png(figures.pareto(means, ARMS), tmp_path / "new" / "pareto.png")
    assert (tmp_path / "new" / "pareto.png").read_bytes().startswith(b"\x89PNG")
