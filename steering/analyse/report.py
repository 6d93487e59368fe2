"""One HTML file for one experiment: tables, figures, questions with answers, and where every number comes from.

The file loads nothing: scripts, styles, pictures and charts are inside it, and its content policy forbids the rest.
All text from data is escaped. What is missing is said to be missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from steering.analyse import compared, figures, gallery, overall, rendering, shift, tables, written
from steering.analyse import unscored as without
from steering.analyse.reading import reading, signed, told_p
from steering.analyse.sections import Section, sections
from steering.manifest import whole

TEMPLATES = Path(__file__).parent / "templates"
FAILED = ("failed", "diverged")


@dataclass(frozen=True)
class ReportInput:
    """All that a report tells of, as plain data.

    arms, seeds, benchmarks: what the experiment asks for, in the order shown; what has no score is "not run", or
    "failed" where a manifest's "state" is failed or diverged. scores, attention, manifests: files of those names;
    starts: the scores of the tuned runs that these start from; unscored: entries of score files that say why there is
    none.
    predictions: {run: {benchmark: prediction records}}; metrics: {run: lines of metrics.jsonl};
    picture: (benchmark, image name) -> PNG or JPEG bytes, or None.
    analyses: {run: {analysis: the folder of what it found}}; overhead: the file of that name.
    depths: how many layers there are to choose among, by the setting that chooses (layers, vision_layers).
    paper: what `Plan.beside_paper` tells of the printed table it stands beside.
    """

    experiment: str
    title: str
    description: str
    world: Mapping[str, Any]
    arms: Sequence[str]
    seeds: Sequence[int]
    benchmarks: Sequence[str]
    scores: Sequence[Mapping[str, Any]]
    predictions: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]
    attention: Sequence[Mapping[str, Any]]
    manifests: Sequence[Mapping[str, Any]]
    metrics: Mapping[str, Sequence[Mapping[str, Any]]]
    picture: Callable[[str, str], bytes | None]
    starts: Sequence[Mapping[str, Any]] = ()
    unscored: Sequence[Mapping[str, Any]] = ()
    sources: Sequence[Mapping[str, str]] = ()
    control: str = "none"
    notes: Sequence[str] = field(default_factory=tuple)
    analyses: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)
    overhead: Mapping[str, Any] | None = None
    depths: Mapping[str, int] = field(default_factory=dict)
    paper: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Figures:
    """The charts of a report by name, and the tables behind them.

    differences, overall: to the control; gained, over_start: to the tuned model that runs start from, by benchmark and
    over all; curves: what each run's loss was, step by step.
    """

    table: pd.DataFrame
    rows: list[tables.Row]
    differences: pd.DataFrame
    overall: pd.DataFrame
    over_start: pd.DataFrame
    gained: pd.DataFrame
    curves: pd.DataFrame
    lmar: pd.DataFrame
    charts: dict[str, Any]
    sections: list[Section]


def render(report: ReportInput, out: Path) -> None:
    """Write the report to *out* as one HTML file that needs no network."""
    page = html(report)
    with whole(out) as aside:
        aside.write_text(page, encoding="utf-8")


def write_figures(report: ReportInput, folder: Path) -> None:
    """Write into *folder* table.csv and table.md, the numbers that DVC compares, and a PNG of every figure."""
    drawn = draw(report)
    together = [(report.control, drawn.overall), (tables.START, drawn.over_start)]
    against = [overall.to_read(frame, other) for other, frame in together if len(frame)]
    notes = without.footnotes(report.unscored, report.scores)
    more = {section.title: section.text for section in drawn.sections if section.text}
    written.write(drawn.table, drawn.rows, against, folder, notes=notes, more=more)
    compared.write(drawn, folder)
    for name, chart in drawn.charts.items():
        rendering.save_png(chart, folder / f"{name}.png")


def html(report: ReportInput) -> str:
    """The page as text."""
    drawn = draw(report)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    environment.filters |= {
        "percent": _percent,
        "count": _count,
        "signed": signed,
        "told_p": told_p,
        "duration": _duration,
    }
    return environment.get_template("report.html.j2").render(
        report=report,
        drawn=drawn,
        reading=reading(report, drawn),
        footnotes=without.footnotes(report.unscored, report.scores),
        colours=figures.arm_colours(report.arms),
        charts={name: rendering.specification(chart) for name, chart in drawn.charts.items()},
        cards=_cards(report),
        filters=gallery.filters(report.arms, report.control),
        runs=_runs(report),
        protocols={score["benchmark"]: score["protocol"] for score in (*report.unscored, *report.scores)},
        attention_protocol=next((entry["protocol"] for entry in report.attention), {}),
        questions={score["benchmark"]: score["n"] for score in (*report.unscored, *report.scores)},
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        script=Markup((TEMPLATES / "report.js").read_text(encoding="utf-8")),
        vega=Markup(_vega()) if drawn.charts else "",
    )


def draw(report: ReportInput) -> Figures:
    """Tables and charts of *report*; a chart whose data are missing is left out."""
    found = tables.main_metrics(report.scores)
    metrics = {name: found.get(name, "") for name in report.benchmarks}
    scores = [*report.scores, *report.starts]
    table = tables.collect(scores, manifests=report.manifests, experiment=report.experiment)
    failed = [arm for arm in report.arms if _states(report).get(arm) in FAILED]
    unscored = without.places(report.unscored)
    rows = tables.rows_to_read(table, metrics, arms=report.arms, failed=failed, unscored=unscored)
    differences = tables.differences(report.scores, control=report.control)
    together = overall.overall(report.scores, arms=report.arms, control=report.control)
    over_start = overall.over_start(report.scores, report.starts, arms=report.arms)
    gained = tables.differences(scores, control=tables.START)
    curves, seen = _curves(report), shift.curves(report.attention, report.arms)
    charts = dict(_charts(report, table, differences, curves=curves, seen=seen))
    own = sections(report)
    charts |= dict(start_charts(gained, report.arms))
    charts |= {name: chart for section in own for name, chart in section.charts.items()}
    lmar = seen[seen["variant"] != shift.SHARE]
    return Figures(table, rows, differences, together, over_start, gained, curves, lmar, charts, own)


def _charts(
    report: ReportInput, table: pd.DataFrame, differences: pd.DataFrame, *, curves: pd.DataFrame, seen: pd.DataFrame
) -> Iterable[tuple[str, Any]]:
    arms = report.arms
    yield from score_charts(
        report.scores, report.manifests, table=table, differences=differences, arms=arms, control=report.control
    )
    if len(curves):
        yield "losses", figures.losses(curves, arms)
    yield from attention_charts(seen, arms)


def attention_charts(seen: pd.DataFrame, arms: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """The charts of `shift.curves`: LMAR and the share of attention on visual positions, by layer."""
    if len(seen):
        share = seen["variant"] == shift.SHARE
        yield "lmar", figures.lmar(seen[~share], arms)
        yield "visual_share", figures.visual_share(seen[share], arms)


def score_charts(
    scores: Sequence[Mapping[str, Any]],
    manifests: Sequence[Mapping[str, Any]],
    *,
    table: pd.DataFrame,
    differences: pd.DataFrame,
    arms: Sequence[str],
    control: str,
) -> Iterator[tuple[str, Any]]:
    """The charts that need scores and parameter counts alone; *table* and *differences* as `tables` gives them."""
    main = tables.in_shares(tables.main_rows(table, tables.main_metrics(scores)), tables.tops(scores))
    means = tables.means(scores, manifests=manifests).dropna(subset=["trainable_llm"])
    if len(differences):
        yield "differences", figures.forest(differences, arms, control)
    if len(main):
        beside = main["arm"].isin(tables.BESIDE_ARMS)
        yield "scores", figures.by_benchmark(main[~beside], arms, main[beside])
    if len(means):
        yield "pareto", figures.pareto(means, arms)


def start_charts(gained: pd.DataFrame, arms: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """What each arm adds to the tuned model it starts from, benchmark by benchmark."""
    if len(gained):
        yield "over_start", figures.forest(gained, arms, tables.START, shown=arms)


def _curves(report: ReportInput) -> pd.DataFrame:
    several = len({manifest.get("data") for manifest in report.manifests}) > 1
    owner = {
        told["run"]: (told["arm"], f"{told['data']}, {told['seed']}" if several else told["seed"])
        for told in report.manifests
    }
    rows = [
        {"arm": owner[run][0], "seed": owner[run][1], "step": line["step"], "loss": line["loss"]}
        for run, lines in report.metrics.items()
        for line in lines
        if run in owner and "loss" in line
    ]
    return pd.DataFrame(rows, columns=["arm", "seed", "step", "loss"])


def _states(report: ReportInput) -> dict[str, str]:
    """{arm: state}, failed where any of its runs failed."""
    states: dict[str, str] = {}
    for manifest in report.manifests:
        state = str(manifest.get("state", "finished"))
        states[manifest["arm"]] = state if state in FAILED else states.get(manifest["arm"], state)
    return states


def _cards(report: ReportInput) -> list[gallery.Card]:
    found: list[gallery.Card] = []
    for benchmark in report.benchmarks:
        answers, correct = {}, {}
        for arm in report.arms:
            own = [s for s in report.scores if s["arm"] == arm and s["benchmark"] == benchmark]
            first = min(own, key=lambda score: score["seed"], default=None)
            if first and benchmark in report.predictions.get(first["run"], {}):
                answers[arm] = report.predictions[first["run"]][benchmark]
                correct[arm] = dict(zip(map(str, first["outcomes"]["id"]), first["outcomes"]["correct"], strict=True))
        found += gallery.cards(benchmark, answers, correct, control=report.control, picture=report.picture)
    return found


def _runs(report: ReportInput) -> list[dict[str, Any]]:
    """What the provenance table tells of each run."""
    return [
        {
            **{name: manifest.get(name) for name in ("run", "arm", "seed", "steps", "runtime_seconds", "commit")},
            "state": manifest.get("state", "finished"),
            "memory": manifest.get("peak_memory_bytes"),
            "settings": manifest.get("settings", {}),
            "versions": manifest.get("versions", {}),
        }
        for manifest in report.manifests
    ]


@cache
def _vega() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    bundle = vl_convert.javascript_bundle(vl_version=rendering.VEGA_LITE)  # type: ignore[call-arg]  # its stub is stricter
    return bundle.replace("</script", "<\\/script")


def _percent(value: float) -> str:
    return "" if math.isnan(value) else f"{100 * value:.1f}"


def _count(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )
