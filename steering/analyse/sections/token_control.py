"""How far a few edited tokens steer answers, and what they take along: a table, two charts and worked examples."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import pandas as pd
from PIL import Image, ImageDraw

from steering.analyse import figures, written
from steering.analyse.controlled import contrast, summary
from steering.analyse.gallery import data_address
from steering.analyse.sections.section import Section
from steering.evaluate.scoring import read_predictions
from steering.manifest import read_json

if TYPE_CHECKING:
    from steering.analyse.report import ReportInput

NAME = "token_control"
TITLE = "Control by token editing"
WORDS = {"object": "the thing asked about", "random": "elsewhere in the picture", "text": "end of the prompt"}
SHORT = {"object": "thing asked about", "random": "elsewhere", "text": "prompt's end"}
WATCHED = {"same": "same picture", "others": "other pictures"}
EXAMPLES = 2
"""Shown of each kind."""
ROW, MARK = 18, "#d9262b"
ENDS = ("value", "low", "high")

Line = Mapping[str, Any]


def section(report: ReportInput) -> Section | None:
    folders = {run: found[NAME] for run, found in report.analyses.items() if NAME in found}
    told = [(read_json(folder / f"{NAME}.json"), folder) for folder in folders.values()]
    by_arm = {arm: [pair for pair in told if pair[0]["arm"] == arm] for arm in report.arms}
    lines = {arm: [read_predictions(folder / "tries.jsonl") for _, folder in own] for arm, own in by_arm.items() if own}
    if not lines:
        return None
    rows = [{"arm": arm, **row} for arm, seeds in lines.items() for row in summary(seeds)]
    first = next(iter(lines))
    about = by_arm[first][0][0]
    facts = {
        "wanted": about["wanted"],
        "rows": [_in_words(row) for row in rows],
        "reading": list(_reading(rows)),
        "contrast": [
            {"arm": arm, "tokens": row["tokens"], "points": _ends(row["success"], 100, "+.0f")}
            for arm, seeds in lines.items()
            for row in contrast(seeds)
        ],
        "questions": max(row["questions"] for row in rows),
        "seeds": max(map(len, lines.values())),
        "examples": list(_examples(report, first, lines[first][0], about["grid"])),
        "example_arm": first,
    }
    shown = [row for row in rows if row["kind"] in WORDS]
    watched = {f"changed_{whose}": words for whose, words in WATCHED.items()}
    charts = {
        f"{NAME}_success": _chart(shown, report.arms, {"success": "the question"}, title="answered with the target"),
        f"{NAME}_changed": _chart(shown, report.arms, watched, title="other answers changed"),
    }
    return Section(NAME, TITLE, facts, charts, text=written.to_markdown(pd.DataFrame(_columns(facts["rows"]))))


def marked(picture: bytes, patches: Sequence[int], grid: int) -> bytes:
    """*picture* as a PNG with *patches*, of a grid of so many a side, framed."""
    with Image.open(io.BytesIO(picture)) as opened:
        image = opened.convert("RGB")
    wide, high = image.size
    draw, width = ImageDraw.Draw(image), max(2, max(image.size) // 64)
    for patch in patches:
        row, column = divmod(patch, grid)
        box = (column * wide / grid, row * high / grid, (column + 1) * wide / grid - 1, (row + 1) * high / grid - 1)
        draw.rectangle(box, outline=MARK, width=width)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _chart(
    rows: Sequence[Mapping[str, Any]], arms: Sequence[str], measures: Mapping[str, str], *, title: str
) -> alt.LayerChart:
    """Dots with intervals, a block for each kind and number; of two measures, the second is hollow."""
    frame, blocks = _frame(rows, measures), _blocks(rows)
    domain = [arm for arm in arms if arm in set(frame["arm"])]
    table = figures.arm_colours(arms)
    scale = alt.Scale(domain=domain, range=[table[arm] for arm in domain])
    legend = alt.Legend(orient="top", columns=4, title=None, symbolOpacity=1)
    axis = alt.Axis(title=None, labelLimit=150, ticks=False, domain=False, grid=False)
    base = alt.Chart(frame).encode(
        y=alt.Y("edited:N", sort=blocks, axis=axis, scale=alt.Scale(paddingInner=0.25)),
        yOffset=alt.YOffset("arm:N", sort=domain, scale=alt.Scale(domain=domain)),
        color=alt.Color("arm:N", scale=scale, legend=legend),
    )
    whiskers = base.mark_rule(strokeWidth=2).encode(x=_per_cent("low", title), x2="high:Q")
    dots = base.mark_point(size=70, opacity=1, strokeWidth=2).encode(
        x=_per_cent("value", title),
        fill=alt.Fill("arm:N", scale=scale, legend=legend),
        fillOpacity=alt.condition(alt.datum.of == list(measures.values())[0], alt.value(1), alt.value(0)),
        tooltip=[*map(alt.Tooltip, ("arm", "edited", "of")), *(alt.Tooltip(end, format=".0f") for end in ENDS)],
    )
    size = {"width": "container", "height": len(blocks) * (ROW * len(domain) + 12), "background": "transparent"}
    return alt.layer(whiskers, dots).properties(**size).configure_view(stroke=None)


def _frame(rows: Sequence[Mapping[str, Any]], measures: Mapping[str, str]) -> pd.DataFrame:
    """arm, edited, of, value, low, high (0..100), a row for each measure that has a value."""
    told = [
        {"arm": row["arm"], "edited": _label(row), "of": words} | {end: _percent(row[name][end]) for end in ENDS}
        for row in rows
        for name, words in measures.items()
    ]
    return pd.DataFrame(told).dropna(subset=["value"])


def _blocks(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    kinds = list(WORDS)
    return list(dict.fromkeys(map(_label, sorted(rows, key=lambda row: (kinds.index(row["kind"]), row["tokens"])))))


def _per_cent(end: str, title: str) -> alt.X:
    axis = alt.Axis(values=[0, 25, 50, 75, 100])
    return alt.X(f"{end}:Q", title=f"{title}, %", axis=axis, scale=alt.Scale(domain=[0, 100]))


def _label(row: Mapping[str, Any]) -> str:
    return f"{SHORT[row['kind']]}, {row['tokens']}"


def _reading(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A sentence for each kind, of its fewest and of its most tokens."""
    for kind, words in WORDS.items():
        numbers = sorted({row["tokens"] for row in rows if row["kind"] == kind})
        for tokens in dict.fromkeys(numbers[:1] + numbers[-1:]):
            own = [row for row in rows if (row["kind"], row["tokens"]) == (kind, tokens)]
            spans = [_span(own, name) for name in ("success", "changed_same", "changed_others")]
            plural = "token" if tokens == 1 else "tokens"
            yield (
                f"{tokens} {plural}, {words}: {spans[0]} of the questions are answered with the target; {spans[1]} of "
                f"the other questions about the same picture change their answer, {spans[2]} of those about others."
            )


def _span(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    values = [100 * row[name]["value"] for row in rows if row[name]["value"] is not None]
    if not values:
        return "none asked"
    low, high = f"{min(values):.0f}", f"{max(values):.0f}"
    return f"{low} %" if low == high else f"{low} to {high} %"


def _in_words(row: Mapping[str, Any]) -> dict[str, str]:
    """The row as a table shows it, in per cent but for nats, steps and norms."""
    shares = ("success", "decoy_hit", "changed_same", "changed_others", "accuracy_same", "accuracy_others")
    told = {name: _ends(row[name], 100, "+.0f" if name.startswith("accuracy") else ".0f") for name in shares}
    told |= {"gain": _ends(row["gain"], 1, "+.1f"), "norm": _ends(row["norm"], 1, ".2f")}
    told |= {"steps": _ends(row["steps"], 1, ".0f")}
    kind = WORDS.get(row["kind"], "no step (control)")
    return {"arm": row["arm"], "kind": kind, "tokens": f"{row['edited']:g}", "n": str(row["questions"]), **told}


def _ends(told: Mapping[str, float | None], times: float, form: str) -> str:
    if told["value"] is None:
        return ""
    value, low, high = (format(times * (told[end] or 0.0), form) for end in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _columns(rows: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    names = {"kind": "edited", "n": "questions", "success": "target, %", "decoy_hit": "decoy, %", "gain": "gain, nats"}
    names |= {"norm": "size of edit", "changed_same": "changed, same picture, %"}
    names |= {"changed_others": "changed, other pictures, %", "accuracy_same": "accuracy, same picture, points"}
    names |= {"accuracy_others": "accuracy, other pictures, points"}
    return [{names.get(name, name): value for name, value in row.items()} for row in rows]


def _percent(value: float | None) -> float:
    return math.nan if value is None else 100 * value


def _examples(report: ReportInput, arm: str, lines: Sequence[Line], grid: int) -> Iterator[dict[str, Any]]:
    """Of each kind the first questions, each with its fewest tokens that reached the target, else with its most."""
    for kind, words in WORDS.items():
        own: dict[str, list[Line]] = {}
        for line in lines:
            if line["kind"] == kind:
                own.setdefault(line["id"], []).append(line)
        for tries in list(own.values())[:EXAMPLES]:
            rising = sorted(tries, key=lambda line: line["tokens"])
            line = next((line for line in rising if line["success"]), rising[-1])
            picture = report.picture(line["benchmark"], line["image"])
            shown = data_address(marked(picture, line["patches"], grid)) if picture else ""
            yield {
                "kind": words,
                "picture": shown,
                **{name: line[name] for name in line if name not in ("kind", "picture")},
            }
