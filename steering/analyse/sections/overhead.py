"""What it costs to answer with each arm, beside the bare model's second self and the paper's numbers (A.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import pandas as pd

from steering import papers
from steering.analyse.figures import GREY, ROW, arm_colours
from steering.analyse.sections.section import Section
from steering.analyse.written import to_markdown

if TYPE_CHECKING:
    from steering.analyse.report import ReportInput

Row = Mapping[str, Any]

MEASURES = {"prefill": "reading a question", "decode": "a further token", "answer": "a whole answer"}
SHAPES = ("circle", "square", "diamond")
PAPERS = ("A4", "inference_overhead_seconds_per_sample")
RATIO = "times the bare model's (log)"


def overhead(report: ReportInput) -> Section | None:
    """The section of *report*; None where its experiment measured no overhead."""
    record = report.overhead
    if record is None:
        return None
    rows = _rows(record)
    facts = {
        "record": record,
        "rows": rows,
        "busy": _unlike_itself(record["again"]["ratio"]),
        "paper": any(row["paper"] for row in rows),
        "bare_arms": [arm for arm in report.arms if arm not in {one["arm"] for one in record["contenders"]}],
    }
    charts = {"overhead": chart(record, arm_colours(report.arms))}
    return Section("overhead", "Cost of an answer", facts, charts, to_markdown(_to_read(rows)))


def _rows(record: Row) -> list[dict[str, Any]]:
    """The bare model's second self, then the contenders, in words."""
    paper = {n.arm: float(n.value) for n in papers.printed() if (n.table, n.benchmark) == PAPERS}
    return [_row(record["again"], "")] + [
        _row(one, "" if one["merged"] else _papers(paper.get(one["method"]))) for one in record["contenders"]
    ]


def _row(one: Row, paper: str) -> dict[str, Any]:
    ratios = {kind: _span(one["ratio"][kind], ".3f") for kind in MEASURES}
    more = _span(one["more"]["answer"], "+.4f")
    return {"name": one["name"], "arm": one.get("arm"), **ratios, "more": more, "paper": paper}


def _papers(value: float | None) -> str:
    return "" if value is None else f"{value:+g}"


def _span(found: Mapping[str, float], form: str) -> tuple[str, str, str]:
    """Value and ends in words, with a true minus."""
    value, low, high = (format(found[name], form).replace("-", "\u2212") for name in ("value", "low", "high"))
    return value, low, high


def _unlike_itself(ratios: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The measures by which the bare model, timed twice, is not its own equal: something else was at work."""
    return [words for kind, words in MEASURES.items() if not ratios[kind]["low"] <= 1 <= ratios[kind]["high"]]


def _to_read(rows: Sequence[Row]) -> pd.DataFrame:
    """The table as text."""
    said = "{} [{}, {}]".format
    columns = {kind: f"{words} / bare" for kind, words in MEASURES.items()}
    return pd.DataFrame(
        [
            {"arm": row["name"]}
            | {title: said(*row[kind]) for kind, title in columns.items()}
            | {"seconds per sample more": said(*row["more"]), "paper": row["paper"]}
            for row in rows
        ]
    )


def chart(record: Row, colours: Mapping[str, str]) -> alt.LayerChart:
    """Ratios to the bare model with intervals, a block of three for each contender; shaded: its second self's."""
    frame = _frame(record, colours)
    names = list(dict.fromkeys(frame["name"]))
    axis = alt.Axis(title=None, labelLimit=130, ticks=False, domain=False, grid=False)
    y = alt.Y("name:N", sort=names, axis=axis, scale=alt.Scale(paddingInner=0.35))
    offset = alt.YOffset("measure:N", sort=list(MEASURES.values()), scale=alt.Scale(domain=list(MEASURES.values())))
    scale = alt.Scale(type="log", nice=False, padding=12)
    colour = alt.Color("colour:N", scale=None)
    legend = alt.Legend(
        orient="top", columns=1, title=None, symbolFillColor=GREY, symbolStrokeColor=GREY, symbolOpacity=1
    )
    shape = alt.Shape("measure:N", scale=alt.Scale(domain=list(MEASURES.values()), range=list(SHAPES)), legend=legend)
    numbers = [alt.Tooltip(name, format=".3f") for name in ("value", "low", "high")]
    tip = [alt.Tooltip("name", title="arm"), alt.Tooltip("measure"), *numbers]
    x, low = (alt.X(f"{name}:Q", title=RATIO, scale=scale, axis=alt.Axis(tickCount=6)) for name in ("value", "low"))
    one = alt.Chart(pd.DataFrame({"value": [1.0]})).mark_rule(color=GREY, strokeDash=[2, 3]).encode(x=x)
    whiskers = alt.Chart(frame).mark_rule(strokeWidth=2).encode(x=low, x2="high:Q", y=y, yOffset=offset, color=colour)
    dots = alt.Chart(frame).mark_point(filled=True, size=65, opacity=1)
    dots = dots.encode(x=x, y=y, yOffset=offset, color=colour, shape=shape, tooltip=tip)
    layers = [_itself(record["again"]["ratio"], low), one, whiskers, dots]
    size = {"width": "container", "height": ROW * len(MEASURES) * len(names), "background": "transparent"}
    return alt.layer(*layers).properties(**size).configure_view(stroke=None)


def _itself(ratios: Mapping[str, Mapping[str, float]], x: alt.X) -> alt.Chart:
    """What the bare model's second self reaches in any measure, as a band."""
    ends = {"low": min(one["low"] for one in ratios.values()), "high": max(one["high"] for one in ratios.values())}
    return alt.Chart(pd.DataFrame([ends])).mark_rect(color=GREY, opacity=0.16).encode(x=x, x2="high:Q")


def _frame(record: Row, colours: Mapping[str, str]) -> pd.DataFrame:
    told = [(record["again"], GREY)]
    told += [(one, colours.get(one["arm"], GREY)) for one in record["contenders"]]
    return pd.DataFrame(
        [
            {"name": one["name"], "measure": words, "colour": colour, **one["ratio"][kind]}
            for one, colour in told
            for kind, words in MEASURES.items()
        ]
    )
