"""The figures of a report as Altair charts, from tidy tables: one colour and one shape per arm in all of them.

Colours are told apart by colour-blind readers and stand out on white and on dark paper alike; charts have no
background of their own, and everything that is neither data nor text is a middle grey.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import altair as alt
import pandas as pd

from steering.analyse.reading import told_p

# Okabe and Ito's hues, brought to a middle lightness, and four more; the first is the control's
COLOURS = (
    *("#7d8695", "#2b7fc4", "#d9602b", "#12977a", "#b565a7", "#b98a0e", "#56a5dc", "#8a6a4f"),
    *("#4a5fe0", "#a037a0", "#5fa33a", "#c4452f"),
)
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right", "triangle-left")
GREY = "#8b909a"
POINTS_PER_CURVE = 160
ROW = 18  # pixels of one arm in a block
TICK = "M-0.18,-1L0.18,-1L0.18,1L-0.18,1Z"  # the symbol of a reference in a legend
REFERENCES = {"start": "#5d6470", "blind": "#8b909a", "majority": "#8b909a66"}


def arm_colours(arms: Sequence[str]) -> dict[str, str]:
    """A colour for each arm in the order of the experiment, the control first."""
    return {arm: COLOURS[index % len(COLOURS)] for index, arm in enumerate(arms)}


def pareto(means: pd.DataFrame, arms: Sequence[str]) -> alt.LayerChart:
    """Parameters trained in the language model against the mean score, with the Pareto front.

    *means*: one row per arm with arm, trainable_llm, value, low, high (0..1). The axis is logarithmic; an arm that
    trains nothing stands left of a break, under its true 0.
    """
    frame = means.dropna(subset=["value"])
    x, marks = _against_parameters(frame, arms, "mean score, %")
    front = alt.Chart(_front(_placed(frame))).mark_line(interpolate="step-after", color=GREY, strokeDash=[5, 4])
    return _layer([front.encode(x=x, y=_percent_axis("value", "mean score, %")), *marks], height=300)


def attention_cost(means: pd.DataFrame, arms: Sequence[str]) -> alt.LayerChart:
    """Parameters trained in the language model against the attention on visual tokens; *means* as for `pareto`."""
    return _layer(_against_parameters(means, arms, "attention on visual tokens, %")[1], height=300)


def _against_parameters(frame: pd.DataFrame, arms: Sequence[str], title: str) -> tuple[alt.X, list[alt.Chart]]:
    """The axis of parameters, and each arm's point with its interval, behind a break where it trains nothing."""
    zero, ticks = _zero_and_ticks(frame["trainable_llm"])
    label = f"datum.value <= {zero} ? '0' : replace(replace(format(pow(10, datum.value), '~s'), 'G', 'B'), 'k', 'k')"
    x = alt.X(
        "place:Q",
        title="parameters trained in the LLM (log)",
        axis=alt.Axis(values=ticks, labelExpr=label, grid=False),
        scale=alt.Scale(domain=[ticks[0] - 0.4, ticks[-1] + 0.4], nice=False),
    )
    tip = [alt.Tooltip("arm"), alt.Tooltip("trainable_llm", format=",", title="parameters"), *_percent_tips()]
    base = alt.Chart(_percents(_placed(frame)))
    whiskers = base.mark_rule(strokeWidth=2).encode(
        x=x, y=_percent_axis("low", title), y2="high_percent:Q", color=_colour(arms)
    )
    points = base.mark_point(filled=True, size=130, opacity=1).encode(
        x=x, y=_percent_axis("value", title), color=_colour(arms), shape=_shape(arms), tooltip=tip
    )
    rule = [_rule(pd.DataFrame({"place": [zero + 0.5]}), x)] if (frame["trainable_llm"] == 0).any() else []
    return x, [*rule, whiskers, points]


def _placed(frame: pd.DataFrame) -> pd.DataFrame:
    """*frame* with the place of each row on the axis of parameters."""
    zero, _ = _zero_and_ticks(frame["trainable_llm"])
    return frame.assign(place=[math.log10(count) if count > 0 else zero for count in frame["trainable_llm"]])


def losses(curves: pd.DataFrame, arms: Sequence[str]) -> alt.LayerChart:
    """Training loss, smoothed, one thin line per seed and a thick one for the arm's mean.

    *curves*: one row per logged step with arm, seed, step, loss; steps are thinned to what a screen can show.
    """
    frame = smooth(curves)
    mean = frame.groupby(["arm", "step"], as_index=False)["loss"].mean()
    x = alt.X("step:Q", title="optimiser step", axis=alt.Axis(grid=False, tickMinStep=1))
    y = alt.Y("loss:Q", title="training loss (smoothed)", scale=alt.Scale(zero=False))
    tip = [alt.Tooltip("arm"), alt.Tooltip("step"), alt.Tooltip("loss", format=".3f")]
    thin = alt.Chart(frame).mark_line(strokeWidth=1, opacity=0.35)
    thin = thin.encode(x=x, y=y, color=_colour(arms), detail="seed:N")
    thick = alt.Chart(mean).mark_line(strokeWidth=2.5).encode(x=x, y=y, color=_colour(arms), tooltip=tip)
    return _layer([thin, thick], height=280)


def smooth(curves: pd.DataFrame) -> pd.DataFrame:
    """*curves* (arm, seed, step, loss) as exponential means over about a twentieth of a run, thinned."""
    parts = []
    for _, run in curves.dropna(subset=["loss"]).sort_values("step").groupby(["arm", "seed"], sort=False):
        span = max(1, len(run) // 20)
        run = run.assign(loss=run["loss"].ewm(span=span).mean())
        parts.append(run.iloc[:: max(1, len(run) // POINTS_PER_CURVE)])
    return pd.concat(parts, ignore_index=True) if parts else curves.iloc[:0]


def lmar(layers: pd.DataFrame, arms: Sequence[str]) -> alt.LayerChart:
    """LMAR by layer with bands: mean attention per visual token over mean attention per text token.

    *layers*: rows of arm, layer (from 1), variant, value, low, high; a menu chooses the variant. Even is 1, and on the
    logarithmic axis twice as much and half as much are as far from it.
    """
    variants = list(dict.fromkeys(layers["variant"]))
    chosen = alt.param("variant", value=variants[0], bind=alt.binding_select(options=variants, name="LMAR  "))
    chart = _band(layers, arms, title="LMAR", percent=False)
    return chart.add_params(chosen).transform_filter("datum.variant == variant")


def visual_share(layers: pd.DataFrame, arms: Sequence[str]) -> alt.LayerChart:
    """Attention on visual tokens by layer. *layers*: rows of arm, layer (from 1), value, low, high (0..1)."""
    return _band(layers, arms, title="attention on visual tokens, %", percent=True)


def by_benchmark(scores: pd.DataFrame, arms: Sequence[str], references: pd.DataFrame) -> alt.LayerChart:
    """Scores with intervals, a block per benchmark; what is no arm (start, blind, majority) is a tick across the block.

    *scores* and *references*: rows of arm, benchmark, value, low, high (0..1).
    """
    frame = scores.dropna(subset=["value"])
    y, offset = _block(list(dict.fromkeys(frame["benchmark"]))), _offset(arms)
    x = _score_axis("value", frame)
    tip = [alt.Tooltip("arm"), alt.Tooltip("benchmark"), *_percent_tips()]
    whiskers = alt.Chart(_percents(frame)).mark_rule(strokeWidth=2)
    whiskers = whiskers.encode(
        x=_score_axis("low", frame), x2="high_percent:Q", y=y, yOffset=offset, color=_colour(arms)
    )
    dots = alt.Chart(_percents(frame)).mark_point(filled=True, size=70, opacity=1)
    dots = dots.encode(x=x, y=y, yOffset=offset, color=_colour(arms), shape=_shape(arms), tooltip=tip)
    known = references.dropna(subset=["value"])
    ticks = alt.Chart(_percents(known)).mark_tick(orient="vertical", thickness=2, size=ROW * len(arms), opacity=1)
    ticks = ticks.encode(x=x, y=y, fill=_tick_fill(list(known["arm"])), tooltip=tip)
    layers = [ticks, whiskers, dots] if len(known) else [whiskers, dots]  # an empty scale cannot be drawn
    return _layer(layers, height=_height(frame, arms))


def forest(
    differences: pd.DataFrame,
    arms: Sequence[str],
    control: str,
    *,
    shown: Sequence[str] | None = None,
    printed: pd.DataFrame | None = None,
) -> alt.LayerChart:
    """Paired differences to the control in percentage points; hollow where no difference is shown.

    *differences*: rows of arm, benchmark, difference, low, high (percentage points), p_holm, verdict. *shown*: the arms
    that have some, by default all but the control; *printed*: the papers' differences as grey ticks.
    """
    shown = shown or [arm for arm in arms if arm != control]
    frame = differences.dropna(subset=["difference"])
    frame = frame.assign(clear=frame["verdict"].isin(["higher", "lower"]), p_told=frame["p_holm"].map(told_p))
    y, offset = _block(list(dict.fromkeys(frame["benchmark"]))), _offset(shown)
    title = f"difference to {control}, % points"
    x = alt.X("difference:Q", title=title, scale=alt.Scale(zero=True, padding=10))
    points = [alt.Tooltip(name, format="+.1f") for name in ("difference", "low", "high")]
    tip = [alt.Tooltip("arm"), alt.Tooltip("benchmark"), *points, alt.Tooltip("p_told:N", title="p (Holm)")]
    colour = _colour(arms, shown)
    base = alt.Chart(frame)
    whiskers = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title=title), x2="high:Q", y=y, yOffset=offset, color=colour
    )
    dots = base.mark_point(size=80, opacity=1, strokeWidth=2).encode(
        x=x,
        y=y,
        yOffset=offset,
        color=colour,
        shape=_shape(arms, shown),
        fill=alt.Fill("arm:N", scale=_scale(arms, COLOURS, shown), legend=_legend()),
        fillOpacity=alt.condition("datum.clear", alt.value(1), alt.value(0)),
        tooltip=[*tip, alt.Tooltip("verdict")],
    )
    layers = [_rule(pd.DataFrame({"difference": [0]}), x), whiskers, dots]
    if printed is not None:
        ticks = alt.Chart(printed).mark_tick(orient="vertical", thickness=3, size=ROW, color=GREY, opacity=1)
        said = [alt.Tooltip("arm"), alt.Tooltip("difference", format="+.1f", title="the paper's")]
        layers.insert(1, ticks.encode(x=x, y=y, yOffset=offset, tooltip=said))
    return _layer(layers, height=_height(frame, shown))


def _band(layers: pd.DataFrame, arms: Sequence[str], *, title: str, percent: bool) -> alt.LayerChart:
    """Lines with bands over layers; *percent* shows shares of 1 in per cent, else ratios on a logarithmic axis."""
    frame = layers.copy()
    frame[["value", "low", "high"]] *= 100 if percent else 1
    x = alt.X(
        "layer:Q", title="layer", axis=alt.Axis(grid=False, tickMinStep=1, format="d"), scale=alt.Scale(nice=False)
    )
    scale = alt.Scale(zero=True) if percent else alt.Scale(type="log", nice=False)
    axis = alt.Axis() if percent else alt.Axis(format="~g", tickCount=5)
    y = partial(alt.Y, title=title, scale=scale, axis=axis)
    tip = [alt.Tooltip("arm"), alt.Tooltip("layer")]
    tip += [alt.Tooltip(name, format=".3g") for name in ("value", "low", "high")]
    base = alt.Chart(frame)
    area = base.mark_area(opacity=0.18, strokeWidth=0)
    area = area.encode(x=x, y=y("low:Q"), y2="high:Q", color=_colour(arms))
    line = base.mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=22, opacity=1))
    line = line.encode(x=x, y=y("value:Q"), color=_colour(arms), tooltip=tip)
    return _layer([area, line], height=280)


def _layer(layers: Sequence[alt.Chart], *, height: int) -> alt.LayerChart:
    size = {"width": "container", "height": height, "background": "transparent"}
    return alt.layer(*layers).properties(**size).configure_view(stroke=None)


def _rule(at: pd.DataFrame, x: alt.X) -> alt.Chart:
    return alt.Chart(at).mark_rule(color=GREY, strokeDash=[2, 3]).encode(x=x)


def _zero_and_ticks(counts: Iterable[int]) -> tuple[float, list[float]]:
    """Where an arm with 0 parameters stands on the axis of decades, and the decades to label."""
    decades = [math.log10(count) for count in counts if count > 0] or [0.0]
    first, last = math.floor(min(decades)), math.ceil(max(decades))
    ticks = [float(decade) for decade in range(first, last + 1)]
    if min(counts) > 0:
        return first - 1.0, ticks
    return first - 1.0, [first - 1.0, *ticks]


def _front(means: pd.DataFrame) -> pd.DataFrame:
    """The rows that no other row beats with as few parameters, from few parameters to many."""
    ordered = means.sort_values(["trainable_llm", "value"], ascending=[True, False])
    best = ordered["value"].cummax().shift(fill_value=-math.inf)
    return _percents(ordered[ordered["value"] > best])


def _percents(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{f"{name}_percent": 100 * frame[name] for name in ("value", "low", "high")})


def _percent_axis(name: str, title: str, channel: type = alt.Y) -> Any:
    return channel(f"{name}_percent:Q", title=title, scale=alt.Scale(zero=False, padding=10))


def _score_axis(name: str, frame: pd.DataFrame) -> alt.X:
    """An axis that ends at 100 where no score of *frame*, nor the end of its interval, is beyond (MME's are)."""
    own: dict[str, Any] = {"domainMax": 100, "nice": False} if frame[["value", "high"]].to_numpy().max() <= 1 else {}
    return alt.X(f"{name}_percent:Q", title="score, %", scale=alt.Scale(zero=False, padding=10, **own))


def _percent_tips() -> list[alt.Tooltip]:
    return [alt.Tooltip(f"{n}_percent:Q", format=".1f", title=f"{n}, %") for n in ("value", "low", "high")]


def _scale(arms: Sequence[str], marks: Sequence[str], shown: Sequence[str] | None = None) -> alt.Scale:
    """The mark of each arm by its place among all *arms*, for those that are *shown*."""
    table = {arm: marks[index % len(marks)] for index, arm in enumerate(arms)}
    domain = list(arms if shown is None else shown)
    return alt.Scale(domain=domain, range=[table[arm] for arm in domain])


def _legend() -> alt.Legend:
    return alt.Legend(orient="top", columns=4, title=None, symbolOpacity=1)


def _tick_fill(names: Sequence[str]) -> alt.Fill:
    told = {name: grey for name, grey in REFERENCES.items() if name in names}
    scale = alt.Scale(domain=list(told), range=list(told.values()))
    return alt.Fill("arm:N", scale=scale, legend=_tick_legend())


def _tick_legend() -> alt.Legend:
    return alt.Legend(orient="top", columns=4, title=None, symbolOpacity=1, symbolType=TICK, symbolStrokeWidth=0)


def _colour(arms: Sequence[str], shown: Sequence[str] | None = None) -> alt.Color:
    return alt.Color("arm:N", scale=_scale(arms, COLOURS, shown), legend=_legend())


def _shape(arms: Sequence[str], shown: Sequence[str] | None = None) -> alt.Shape:
    return alt.Shape("arm:N", scale=_scale(arms, SHAPES, shown), legend=_legend())


def _block(benchmarks: Sequence[str]) -> alt.Y:
    axis = alt.Axis(title=None, labelLimit=130, ticks=False, domain=False, grid=False)
    return alt.Y("benchmark:N", sort=list(benchmarks), axis=axis, scale=alt.Scale(paddingInner=0.25))


def _offset(arms: Sequence[str]) -> alt.YOffset:
    return alt.YOffset("arm:N", sort=list(arms), scale=alt.Scale(domain=list(arms)))


def _height(frame: pd.DataFrame, arms: Sequence[str]) -> int:
    return int(max(1, frame["benchmark"].nunique()) * (ROW * len(arms) * 1.4 + 8))
