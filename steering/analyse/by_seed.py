"""Seed by seed: what each training run has over all benchmarks together, beside the control's of the same seed.

    value = mean over benchmarks of the share of correct answers, in per cent, every benchmark weighing the same

A mean over seeds does not tell whether an arm or its control is what varies; this does. Single runs have no interval
here: what may be said of an arm is said by `overall`, over all its seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from steering.analyse import figures
from steering.analyse.overall import complete
from steering.analyse.reading import signed

COLUMNS = ["arm", "seed", "value", "difference"]


def by_seed(scores: Sequence[Mapping[str, Any]], *, arms: Sequence[str], control: str = "none") -> pd.DataFrame:
    """A row (COLUMNS, in per cent and points) for each of *arms* and seed that has all benchmarks.

    difference: to *control* with the same seed; nan for the control, and where it has none. Empty unless an arm has
    two seeds.
    """
    benchmarks = sorted({str(score["benchmark"]) for score in scores})
    found = {arm: {seed: _mean(own) for seed, own in complete(scores, arm, benchmarks).items()} for arm in arms}
    beside = found.get(control, {})
    rows = [
        {"arm": arm, "seed": seed, "value": value, "difference": _difference(value, beside.get(seed), arm != control)}
        for arm, own in found.items()
        for seed, value in sorted(own.items())
    ]
    several = any(len(own) > 1 for own in found.values())
    return pd.DataFrame(rows if several else [], columns=COLUMNS)


def to_read(frame: pd.DataFrame, control: str) -> pd.DataFrame:
    """The table a person reads: an arm a row, a seed a column, each with the difference to *control*."""
    seeds = sorted(frame["seed"].unique())
    rows = []
    for arm, own in frame.groupby("arm", sort=False):
        cells = {row["seed"]: _cell(row["value"], row["difference"]) for row in own.to_dict("records")}
        told = {f"seed {seed}": cells.get(seed, "") for seed in seeds}
        told |= {"mean": _cell(own["value"].mean(), own["difference"].mean())}
        told |= {"s.d. of seeds": f"{own['value'].std():.1f}" if len(own) > 1 else ""}
        rows.append({f"arm (against {control})": arm, **told})
    return pd.DataFrame(rows)


def strip(frame: pd.DataFrame, arms: Sequence[str]) -> alt.LayerChart:
    """A point for each run, an arm a row, and a tick at the mean of its seeds; *frame* as `by_seed` gives it."""
    shown = [arm for arm in arms if (frame["arm"] == arm).any()]
    y = alt.Y("arm:N", sort=shown, title=None, axis=alt.Axis(grid=True, domain=False, ticks=False))
    x = alt.X("value:Q", title="correct answers, mean over benchmarks, %", scale=alt.Scale(zero=False, padding=12))
    tip = [alt.Tooltip("arm"), alt.Tooltip("seed"), alt.Tooltip("value", format=".1f", title="%")]
    tip += [alt.Tooltip("difference", format="+.1f", title="over the control")]
    base = alt.Chart(frame)
    hues = figures.arm_colours(arms)
    colour = alt.Color("arm:N", scale=alt.Scale(domain=[*hues], range=[*hues.values()]), legend=None)
    points = base.mark_point(filled=True, size=90, opacity=0.75).encode(x=x, y=y, color=colour, tooltip=tip)
    means = base.mark_tick(thickness=3, size=18).encode(x="mean(value):Q", y=y, color=colour)
    size = {"width": "container", "height": 28 * len(shown), "background": "transparent"}
    return alt.layer(means, points).properties(**size).configure_view(stroke=None)


def _mean(scores: Sequence[Mapping[str, Any]]) -> float:
    return 100 * float(np.mean([np.mean(score["outcomes"]["correct"]) for score in scores]))


def _difference(value: float, control: float | None, other: bool) -> float:
    return value - control if other and control is not None else float("nan")


def _cell(value: float, difference: float) -> str:
    return f"{value:.1f}" + ("" if np.isnan(difference) else f" ({signed(difference)})")
