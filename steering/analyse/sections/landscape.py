"""The report's section of loss landscapes: each arm's plane on one colour scale, and the table of sharpness.

Planes are of an arm's first seed; the table takes all its seeds. What is not finite on a plane is left blank.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import pandas as pd

from steering.analyse import figures, sharpness, statistics, tables
from steering.analyse.reading import signed
from steering.analyse.sections.section import Section
from steering.analyse.written import to_markdown

if TYPE_CHECKING:
    from steering.analyse.report import ReportInput

COLUMNS, SIZE, SPACING = 4, 150, 18
FILE = "landscape.json"
WORDS = {"higher": "sharper", "lower": "flatter"}
Records = dict[str, list[Mapping[str, Any]]]
"""{arm: a record of each seed, in the order of the seeds}."""


def section(report: ReportInput) -> Section | None:
    records = _records(report)
    if not records:
        return None
    rows = _rows(records, report.control)
    first = {arm: own[0] for arm, own in records.items()}
    one = next(iter(first.values()))
    facts = {
        "rows": rows,
        "seeds": max(map(len, records.values())),
        "conversations": one["conversations"]["n"],
        "tokens": sum(one["conversations"]["tokens"]),
        "directions": len(one["sums"]["rays"]),
        "radius": one["radius"],
        "points": len(one["axis"]),
        "cosine": max(abs(record["cosine"]) for record in first.values()),
        "protocol": one["protocol"],
    }
    chart = heat(planes(first), list(first))
    return Section("landscape", "Loss landscape", facts, {"landscape": chart}, text=_text(rows, report.control))


def _records(report: ReportInput) -> Records:
    found: Records = {}
    for arm in report.arms:
        runs = sorted((m["seed"], m["run"]) for m in report.manifests if m["arm"] == arm)
        folders = [report.analyses.get(run, {}).get("landscape") for _, run in runs]
        if own := [json.loads((folder / FILE).read_text(encoding="utf-8")) for folder in folders if folder]:
            found[arm] = own
    return found


def _rows(records: Records, control: str) -> list[dict[str, Any]]:
    """A row for each arm; rises and their differences to *control* in per cent, p corrected over the arms."""
    rows = [_row(arm, own, records.get(control, [])) for arm, own in records.items()]
    compared = [row for row in rows if "difference" in row]
    corrected = statistics.holm([row["p"] for row in compared])
    for row, p in zip(compared, corrected, strict=True):
        verdict = tables.verdict(row["difference_low"], row["difference_high"], p)
        row |= {"p_holm": p, "verdict": WORDS.get(verdict, verdict)}
    return rows


def _row(arm: str, own: Sequence[Mapping[str, Any]], control: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found = sharpness.sharpness(own)
    loss = sum(map(sharpness.trained_loss, own)) / len(own)
    row = {
        "arm": arm,
        "parameters": sum(part["parameters"] for part in own[0]["trained"].values()),
        "loss": loss,
        "rise": 100 * found.value,
        "low": 100 * found.low,
        "high": 100 * found.high,
        "nats": loss * found.value,
        "worst": 100 * max(map(sharpness.worst, own)),
    }
    pairs = [(ours, theirs) for ours in own for theirs in control if ours["seed"] == theirs["seed"]]
    if pairs and own is not control:
        gap = sharpness.difference([a for a, _ in pairs], [b for _, b in pairs])
        row |= {"difference": 100 * gap.value, "difference_low": 100 * gap.low, "difference_high": 100 * gap.high}
        row |= {"p": gap.p}
    return row


def planes(records: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """A row for each finite point of each arm's plane: arm, a, b, loss, and the edges of its cell."""
    rows = [
        {"arm": arm, "a": a, "b": b, "loss": loss, "half": (record["axis"][1] - record["axis"][0]) / 2}
        for arm, record in records.items()
        for b, line in zip(record["axis"], record["loss"], strict=True)
        for a, loss in zip(record["axis"], line, strict=True)
        if loss is not None
    ]
    frame = pd.DataFrame(rows)
    ends = {"0": -1, "1": 1}
    edges = {f"{side}_{end}": frame[side] + sign * frame["half"] for side in "ab" for end, sign in ends.items()}
    return frame.assign(**edges).drop(columns="half")


def heat(frame: pd.DataFrame, arms: Sequence[str]) -> alt.FacetChart:
    """A square of coloured cells for each of *arms*, on one logarithmic scale; a ring marks the trained point."""
    axis: dict[str, Any] = {"grid": False, "tickCount": 3}
    x = alt.X("a_0:Q", title=None, axis=alt.Axis(**axis), scale=alt.Scale(nice=False, zero=False))
    y = alt.Y("b_0:Q", title=None, axis=alt.Axis(**axis), scale=alt.Scale(nice=False, zero=False))
    words: dict[str, Any] = {
        "title": "loss, nats (log)",
        "titleColor": figures.GREY,
        "titleFontWeight": "normal",
        "format": ".2~g",
    }
    legend = alt.Legend(orient="top", direction="horizontal", gradientLength=160, tickCount=4, **words)
    colour = alt.Color("loss:Q", scale=alt.Scale(type="log", scheme="viridis", nice=False), legend=legend)
    tip = [alt.Tooltip("arm"), *(alt.Tooltip(name, format="+.2f") for name in "ab"), alt.Tooltip("loss", format=".3f")]
    base = alt.Chart()
    cells = base.mark_rect(strokeWidth=0).encode(x=x, x2="a_1:Q", y=y, y2="b_1:Q", color=colour, tooltip=tip)
    centre = base.transform_filter("datum.a == 0 && datum.b == 0").mark_point(color="white", size=50, strokeWidth=2)
    centre = centre.encode(x=alt.X("a:Q", title=None), y=alt.Y("b:Q", title=None))
    header = alt.Header(title=None, labelColor=figures.GREY, labelFontSize=12, labelFontWeight="bold", labelPadding=4)
    cell = alt.layer(cells, centre, data=frame).properties(width=SIZE, height=SIZE)
    facet = cell.facet(alt.Facet("arm:N", sort=list(arms), header=header), columns=COLUMNS, spacing=SPACING)
    return facet.resolve_axis(x="independent").properties(background="transparent").configure_view(stroke=None)


def _text(rows: Sequence[Mapping[str, Any]], control: str) -> str:
    """The table as Markdown."""
    frame = pd.DataFrame(
        [
            {
                "arm": row["arm"],
                "moved": f"{row['parameters']:,}",
                "loss": f"{row['loss']:.3f}",
                "rise, %": _interval(row["rise"], row["low"], row["high"]),
                "rise, nats": f"{row['nats']:+.3f}",
                "worst, %": signed(row["worst"]),
                f"against {control}, points": _interval(
                    row["difference"], row["difference_low"], row["difference_high"]
                )
                if "difference" in row
                else "",
                "reading": row.get("verdict", ""),
            }
            for row in rows
        ]
    )
    return to_markdown(frame)


def _interval(value: float, low: float, high: float) -> str:
    return f"{signed(value)} [{signed(low)}, {signed(high)}]"
