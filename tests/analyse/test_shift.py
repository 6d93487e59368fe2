"""LMAR over training seeds and against the control: closed forms, pairing, and what is left out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from steering.analyse import shift
from steering.analyse.attention import ModalityAttention, attention_summary
from steering.analyse.report import ReportInput, html
from steering.analyse.sections.attention_shift import attention_shift

LAYERS, N = 4, 24
TEXTS = {"text": 2.0, "text_without_sink": 0.5}


def entry(arm: str, seed: int, lmar: np.ndarray, ids: list[str] | None = None, data: str = "mix") -> dict:
    """A run whose LMAR without the sink is *lmar* (l, n), and a quarter of that with it."""
    names = ids or [str(n) for n in range(lmar.shape[1])]
    mass = {"visual": 0.1 * lmar, **{text: 0.1 * np.full(lmar.shape, size) for text, size in TEXTS.items()}}
    counts = {"visual": np.full(len(names), 8.0), **{text: np.full(len(names), 4.0) for text in TEXTS}}
    record = ModalityAttention({name: value for name, value in mass.items()}, counts)
    named = [{"id": name, "group": name} for name in names]
    run = f"tiny/{data}/{arm}/seed{seed}"
    return {"run": run, "arm": arm, "seed": seed, **attention_summary(record, seed=0, named=named, resamples=20)}


def ratios(seed: int, *, by: float = 1.0) -> np.ndarray:
    """(l, n) positive numbers of a seed's own, times *by*."""
    return by * np.random.default_rng(seed).uniform(0.5, 1.5, (LAYERS, N))


def test_a_curve_is_the_mean_over_seeds_of_each_run_s_own() -> None:
    runs = [entry("a", seed, ratios(seed)) for seed in range(3)]
    found = shift.curves(runs, ["a"]).set_index(["variant", "layer"])
    for variant, (sink, kind) in {
        "without first token, mean of ratios": ("without_sink", "mean_of_ratios"),
        "with first token, ratio of means": ("with_sink", "ratio_of_means"),
    }.items():
        logs = [[math.log(layer["value"]) for layer in run["lmar"][sink][kind]] for run in runs]
        own = np.exp(np.mean(logs, axis=0))
        np.testing.assert_allclose([found.loc[(variant, layer), "value"] for layer in range(1, LAYERS + 1)], own, 1e-4)
    share = np.mean([[layer["value"] for layer in run["visual_share"]] for run in runs], axis=0)
    np.testing.assert_allclose(found.loc[shift.SHARE, "value"], share, 1e-4)
    assert (found["low"] < found["value"]).all() and (found["value"] < found["high"]).all()


def test_seeds_that_differ_widen_a_curve() -> None:
    alike, apart = (
        shift.curves([entry("a", seed, ratios(0, by=by)) for seed, by in enumerate(each)], ["a"])
        for each in ((1, 1, 1), (0.5, 1, 2))
    )
    alike, apart = (found[found["variant"] != shift.SHARE] for found in (alike, apart))
    assert alike["value"].sum() == pytest.approx(apart["value"].sum(), rel=1e-4)
    assert ((apart["high"] - apart["low"]) > 2 * (alike["high"] - alike["low"])).all()


def test_an_arm_that_looks_twice_as_much_has_a_factor_of_two_however_seeds_differ() -> None:
    runs = [entry("none", seed, ratios(seed, by=1 + seed)) for seed in range(3)]
    runs += [entry("a", seed, ratios(seed, by=2 + 2 * seed)) for seed in range(3)]
    found = shift.shifts(runs, arms=["none", "a"], control="none")
    assert list(found["span"]) == ["all layers", "first half", "second half"]
    np.testing.assert_allclose(found[["factor", "low", "high"]], 2, rtol=1e-3)
    assert set(found["verdict"]) == {"higher"} and set(found["seeds"]) == {3}


def test_runs_of_several_mixtures_are_paired_each_with_its_own() -> None:
    runs = [entry("none", 0, ratios(at, by=1 + at), data=data) for at, data in enumerate(("small", "large"))]
    runs += [entry("a", 0, ratios(at, by=3 + 3 * at), data=data) for at, data in enumerate(("small", "large"))]
    found = shift.shifts(runs, arms=["a"], control="none")
    np.testing.assert_allclose(found[["factor", "low", "high"]], 3, rtol=1e-3)
    assert set(found["seeds"]) == {1}


def test_halves_of_the_layers_are_told_apart() -> None:
    deep = np.ones((LAYERS, N))
    deep[LAYERS // 2 :] = 3
    runs = [entry("none", 0, ratios(0)), entry("a", 0, ratios(0) * deep)]
    found = shift.shifts(runs, arms=["a"], control="none").set_index("span")["factor"]
    assert found["first half"] == pytest.approx(1, rel=1e-3) and found["second half"] == pytest.approx(3, rel=1e-3)


def test_an_arm_drawn_like_the_control_is_not_told_apart() -> None:
    runs = [entry(arm, seed, ratios(10 * at + seed)) for at, arm in enumerate(["none", "a"]) for seed in range(3)]
    found = shift.shifts(runs, arms=["a"], control="none")
    assert set(found["verdict"]) == {"no difference shown"}


def test_four_samples_of_one_seed_show_nothing_however_far_they_move() -> None:
    runs = [entry("none", 0, ratios(0)[:, :4]), entry("a", 0, ratios(1, by=9)[:, :4])]
    found = shift.shifts(runs, arms=["a"], control="none")
    assert (found["low"] > 1).all() and not set(found["verdict"]) & {"higher", "lower"}


def test_only_samples_that_both_have_are_paired() -> None:
    first, second = ratios(0), ratios(0, by=2)
    ours = entry("a", 0, second[:, ::-1], ids=[str(n) for n in reversed(range(N))])
    theirs = entry("none", 0, np.hstack([first, 9 * first[:, :3]]), ids=[str(n) for n in range(N + 3)])
    found = shift.shifts([ours, theirs], arms=["a"], control="none")
    assert set(found["n"]) == {N}
    np.testing.assert_allclose(found["factor"], 2, rtol=1e-3)


def test_runs_without_the_masses_of_samples_or_without_the_control_s_seed_are_left_out() -> None:
    bare = {**entry("a", 0, ratios(0)), "samples": {"id": ["0"]}}
    assert not len(shift.curves([bare], ["a"]))
    other = [entry("none", 0, ratios(0)), entry("a", 1, ratios(1))]
    assert not len(shift.shifts(other, arms=["a"], control="none"))


def test_the_report_tells_each_arm_s_factor_by_span(report_input: ReportInput) -> None:
    section = attention_shift(report_input)
    assert section and [row["arm"] for row in section.facts["rows"]] == ["mores_b", "lora"]
    assert "LMAR / none's, all layers" in section.text
    (row,) = (line for line in section.text.splitlines() if line.startswith("| mores_b |"))
    assert row.count(", p <0.001 |") == 3
    written = html(report_input)
    assert 'id="attention_shift"' in written
    assert written.count("p &lt;0.001") == 6
    assert attention_shift(replace(report_input, attention=[])) is None
