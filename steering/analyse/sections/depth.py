"""The report's section of editing depth (MRT paper): the mean score against how many layers are edited, from the first.

It is there where three arms or more of one method differ in nothing but the depth of their schedule: the settings of
their manifests are the same but for `layers` (or `vision_layers`), which mean layers 0..k-1 with k's of their own.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import altair as alt
import pandas as pd

from steering.analyse import figures, tables
from steering.analyse.sections.section import Section
from steering.analyse.written import to_markdown
from steering.arms import depth

if TYPE_CHECKING:
    from steering.analyse.report import ReportInput

KINDS = {"layers": "language model", "vision_layers": "vision encoder"}
"""What each setting chooses layers of."""
FEWEST = 3


@dataclass(frozen=True)
class Series:
    """Arms by how many layers they edit, all else alike."""

    name: str
    arms: Mapping[str, int]


def section(report: ReportInput) -> Section | None:
    found = series(report)
    means = tables.means(report.scores, manifests=report.manifests)
    frame = _points(found, means)
    if frame.empty:
        return None
    control = means[means["arm"] == report.control]
    facts: dict[str, Any] = {"rows": frame.to_dict("records"), "names": list(dict.fromkeys(frame["series"]))}
    facts |= {"control": control.to_dict("records"), "depths": dict(report.depths)}
    return Section("depth", "Editing depth", facts, {"depth": curve(frame, control)}, text=_text(frame))


def series(report: ReportInput) -> list[Series]:
    """The arms that differ in the depth of their schedule alone, where there are enough of them."""
    settings = {manifest["arm"]: manifest.get("settings", {}) for manifest in report.manifests}
    found = [one for setting, count in report.depths.items() for one in _series(settings, setting, count)]
    names = [one.name for one in found]
    return [one if names.count(one.name) == 1 else Series(f"{one.name} ({max(one.arms)})", one.arms) for one in found]


def _series(settings: Mapping[str, Mapping[str, Any]], setting: str, count: int) -> Iterator[Series]:
    alike: dict[str, dict[str, int]] = defaultdict(dict)
    for arm, told in settings.items():
        edited = depth(told.get(setting, "all"), count)
        if edited is not None:
            rest = {name: value for name, value in told.items() if name != setting}
            alike[json.dumps(rest, sort_keys=True)][arm] = edited
    for others, arms in alike.items():
        if len(set(arms.values())) >= FEWEST:
            yield Series(f"{json.loads(others).get('method')}, {KINDS.get(setting, setting)}", arms)


def _points(found: list[Series], means: pd.DataFrame) -> pd.DataFrame:
    """A row for each arm of each series that has a mean score over all benchmarks, by rising depth."""
    told = {row["arm"]: row for row in means.to_dict("records")}
    columns = ["trainable_llm", "value", "low", "high"]
    rows = [
        {"series": one.name, "arm": arm, "layers": edited, **{name: told[arm][name] for name in columns}}
        for one in found
        for arm, edited in sorted(one.arms.items(), key=lambda pair: pair[1])
        if arm in told
    ]
    return pd.DataFrame(rows, columns=["series", "arm", "layers", *columns])


def curve(frame: pd.DataFrame, control: pd.DataFrame) -> alt.LayerChart:
    """Mean score, %, against edited layers, a line for each series; the control is a dashed line with its interval.

    *frame*: rows of series, arm, layers, value, low, high (0..1); *control*: one row of arm, value, low, high, or none.
    """
    names = list(dict.fromkeys(frame["series"]))
    colours = [figures.COLOURS[1:][at % (len(figures.COLOURS) - 1)] for at in range(len(names))]
    legend = alt.Legend(orient="top", columns=2, title=None, labelLimit=260)
    colour = alt.Color("series:N", scale=alt.Scale(domain=names, range=colours), legend=legend)
    x = alt.X("layers:Q", title="layers edited, from the first", axis=alt.Axis(grid=False, tickMinStep=1, format="d"))
    scale = alt.Scale(zero=False, padding=10)
    y = {name: alt.Y(f"{name}:Q", title="mean score, %", scale=scale) for name in ("value", "low")}
    tip = [alt.Tooltip(name) for name in ("series", "arm", "layers")]
    tip += [alt.Tooltip("trainable_llm", format=",", title="parameters")]
    tip += [alt.Tooltip(name, format=".1f", title=f"{name}, %") for name in ("value", "low", "high")]
    base = alt.Chart(_percents(frame))
    layers = [
        base.mark_line(strokeWidth=2).encode(x=x, y=y["value"], color=colour),
        base.mark_rule(strokeWidth=2).encode(x=x, y=y["low"], y2="high:Q", color=colour),
        base.mark_point(filled=True, size=80, opacity=1).encode(x=x, y=y["value"], color=colour, tooltip=tip),
    ]
    if len(control):
        stays = alt.Chart(_percents(control))
        whole = [alt.Tooltip(name, format=".1f") for name in ("value", "low", "high")]
        band = stays.mark_rect(color=figures.GREY, opacity=0.16).encode(y=y["low"], y2="high:Q")
        rule = stays.mark_rule(color=figures.GREY, strokeDash=[5, 4], strokeWidth=2)
        layers = [band, rule.encode(y=y["value"], tooltip=[alt.Tooltip("arm"), *whole]), *layers]
    size = {"width": "container", "height": 300, "background": "transparent"}
    return alt.layer(*layers).properties(**size).configure_view(stroke=None)


def _percents(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{name: 100 * frame[name] for name in ("value", "low", "high")})


def _text(frame: pd.DataFrame) -> str:
    """The table as Markdown."""
    shown = [
        {
            "series": row["series"],
            "arm": row["arm"],
            "layers edited": row["layers"],
            "trained": f"{row['trainable_llm']:,}",
            "mean score, %": f"{100 * row['value']:.1f} [{100 * row['low']:.1f}, {100 * row['high']:.1f}]",
        }
        for row in frame.to_dict("records")
    ]
    return to_markdown(pd.DataFrame(shown))
