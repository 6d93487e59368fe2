"""One offline page over all experiments of params.yaml: what each asks, how far it is, and what came out.

It is made from what lies in results/ alone and never fails for what is missing there: an experiment without data is
"sized only", one without a report "not run" or "partly" done. A report that the workflow does not know to be made by
today's params.yaml from today's scores is still shown, and said to be "done earlier".
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from steering import layout
from steering.analyse import tables
from steering.analyse.reading import said_of_all_benchmarks
from steering.manifest import digest, read_json, whole
from steering.plan import Plan, Run

TEMPLATES = Path(__file__).parent / "templates"
FILES = ("report.html", "table.md", "table.csv")
MAIN_FIGURES = ("differences.png", "scores.png")
NUMBERS = ("difference", "low", "high", "p_holm")
SIDE = 720  # pixels of a thumbnail's width, sharp on a phone
STATES = {
    "done": "done",
    "before": "done earlier",
    "partly": "partly",
    "none": "not run",
    "sized": "sized only",
}
"""In the page's order: what there is to read comes first."""


@dataclass(frozen=True)
class Entry:
    """What the page tells of one experiment; links: (words, address from results/) of the files that there are.

    there: how many of its runs have scores; picture: the main figure as a data: address, or empty.
    """

    name: str
    title: str
    question: str
    world: str
    arms: Sequence[str]
    seeds: Sequence[int]
    state: str
    runs: int
    there: int
    date: str
    finding: Sequence[Markup]
    picture: str
    links: Sequence[tuple[str, str]]


def write_index(plan: Plan, out: Path, *, recorded: Callable[[Path], str | None]) -> None:
    """Write the page to *out*, whole or not at all; *recorded* as in `steering.standing.Standing`."""
    page = html([entry(plan, name, recorded=recorded) for name in plan.params.experiments])
    with whole(out) as aside:
        aside.write_text(page, encoding="utf-8")


def html(entries: Sequence[Entry]) -> str:
    """The page as text: entries by state, those of one state in the order in which they are given."""
    ordered = sorted(entries, key=lambda entry: list(STATES).index(entry.state))
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    counts = {words: sum(entry.state == state for entry in entries) for state, words in STATES.items()}
    style = Markup("".join((TEMPLATES / name).read_text(encoding="utf-8") for name in ("report.css", "index.css")))
    return environment.get_template("index.html.j2").render(entries=ordered, counts=counts, states=STATES, style=style)


def entry(plan: Plan, name: str, *, recorded: Callable[[Path], str | None]) -> Entry:
    """What is there of the experiment *name*."""
    wanted, runs, folder = plan.experiment(name), plan.runs(name), layout.experiment(name)
    there = [run for run in runs if (_outcome(run) / "scores.json").exists()]
    state = _state(plan, name, there, recorded)
    return Entry(
        name=name,
        title=wanted.title,
        question=wanted.question,
        world=wanted.world,
        arms=wanted.arms,
        seeds=wanted.seeds,
        state=state,
        runs=len(runs),
        there=len(there),
        date=_date(folder / "report.html", there) if state in ("done", "before") else "",
        finding=finding(_metrics(folder), arms=wanted.arms, control=wanted.control),
        picture=next(filter(None, map(thumbnail, (folder / figure for figure in MAIN_FIGURES))), ""),
        links=[*_links(folder), *((f"partial {name}", address) for name, address in _links(folder / "partial"))],
    )


def finding(metrics: Mapping[str, Any], *, arms: Sequence[str], control: str) -> list[Markup]:
    """The sentences over all benchmarks together, out of an experiment's metrics.json; none where it compares none."""
    rows = []
    for arm in arms:
        told = metrics.get(arm, {}).get("against_control") or {}
        numbers = {name: told[name] for name in NUMBERS if isinstance(told.get(name), int | float)}
        if len(numbers) == len(NUMBERS):
            verdict = tables.verdict(numbers["low"], numbers["high"], numbers["p_holm"])
            rows.append({"arm": arm, "verdict": verdict, **numbers})
    return said_of_all_benchmarks(control, pd.DataFrame(rows)) if rows else []


def thumbnail(path: Path) -> str:
    """The picture at *path* as a data: address, shrunk; empty where there is none that can be read."""
    try:
        with Image.open(path) as opened:
            small = opened.convert("RGB")
    except OSError:
        return ""
    small.thumbnail((SIDE, 4 * SIDE))
    file = io.BytesIO()
    small.quantize(64).save(file, "PNG", optimize=True)  # a chart has few colours
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _state(plan: Plan, name: str, there: Sequence[Run], recorded: Callable[[Path], str | None]) -> str:
    report = layout.experiment(name) / "report.html"
    if report.exists():
        today = plan.experiment(name).data and recorded(report) == digest(plan.report(name))
        return "done" if today else "before"
    if not plan.experiment(name).data:
        return "sized"
    return "partly" if there or layout.partial_report(name).exists() else "none"


def _date(report: Path, runs: Sequence[Run]) -> str:
    """The day on which the last run was trained; of the report's file where no run tells."""
    days = []
    for run in runs:
        told = _json(layout.run(run.world, run.data, run.arm, run.seed) / "manifest.json").get("finished")
        days += [told[:10]] if isinstance(told, str) else []
    return max(days, default=datetime.fromtimestamp(report.stat().st_mtime, UTC).date().isoformat())


def _metrics(folder: Path) -> Mapping[str, Any]:
    told = _json(folder / "metrics.json")
    return {arm: own for arm, own in told.items() if isinstance(own, dict)}


def _json(path: Path) -> Mapping[str, Any]:
    """The object in *path*; an empty one where there is none."""
    try:
        told = read_json(path)
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _links(folder: Path) -> list[tuple[str, str]]:
    found = [name for name in FILES if (folder / name).exists()]
    return [(name, (folder / name).relative_to(layout.INDEX.parent).as_posix()) for name in found]


def _outcome(run: Run) -> Path:
    return layout.outcome(run.world, run.data, run.arm, run.seed)
