"""Our scores beside the numbers that the papers print, place by place; and their differences, which need no same level.

    difference = our mean over training seeds - the paper's number, which it gives without an interval

in points. A claim holds an arm against another one, ours paired by question and seed, the paper's as the difference of
two of its numbers; p is corrected by Holm over all claims. A place where we, or the paper, have nothing says so.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from steering import papers
from steering.analyse import over_seeds, statistics, tables
from steering.analyse.tables import Cell
from steering.analyse.unscored import NOT_SCORED

Score = Mapping[str, Any]
Beside = Mapping[str, Any]
"""What `Plan.beside_paper` tells."""

NO_NUMBER = "not in the paper"
NOT_RUN, INCOMPLETE = "not run", "lacks a benchmark"
AS_PRINTED, REVERSED = "same direction", "opposite direction"


@dataclass(frozen=True)
class Column:
    """A column of a printed table and our benchmark beside it, which asks the same questions or has its form alone."""

    name: str
    title: str
    benchmark: str
    same: bool


@dataclass(frozen=True)
class Place:
    """One arm on one column, beside one row; row and printed are empty where the paper has none. measured: in 0..1."""

    arm: str
    row: str
    column: Column
    measured: Cell
    printed: str

    @property
    def difference(self) -> float:
        """Ours minus the paper's in points; nan where one of them is missing."""
        return 100 * self.measured.value - float(self.printed) if self.printed else math.nan


@dataclass(frozen=True)
class Claim:
    """An arm against another, in points: the paper's difference, and ours with its interval, or why there is none."""

    arm: str
    against: str
    column: Column
    printed: float
    state: str = ""
    difference: float = math.nan
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan
    p_holm: float = math.nan

    @property
    def verdict(self) -> str:
        return "" if self.state else tables.verdict(self.low, self.high, self.p_holm)

    @property
    def reading(self) -> str:
        """What our interval says of the paper's difference."""
        if self.verdict not in ("higher", "lower") or self.printed == 0:
            return self.state or self.verdict
        return AS_PRINTED if (self.verdict == "higher") == (self.printed > 0) else REVERSED


def columns(paper: Beside) -> list[Column]:
    """The columns that have a benchmark of ours beside them, in the paper's order; the average where all have one."""
    beside = {column: name for name, places in paper["columns"].items() for column in places}
    printed = papers.columns(paper["table"], paper["model"])
    found = [_column(column, beside[column], paper) for column in printed if column in beside]
    whole = len(found) == len(printed) - 1 and papers.AVERAGE in printed
    mean = Column(papers.AVERAGE, papers.AVERAGE, "", all(column.same for column in found))
    return [*found, mean] if whole else found


def places(
    paper: Beside,
    scores: Sequence[Score],
    *,
    failed: Collection[str] = (),
    unscored: Collection[tuple[str, str]] = (),
) -> list[Place]:
    """Each arm on each column beside each of its rows; *failed*, *unscored* as for `tables.rows_to_read`."""
    shown = columns(paper)
    measured = _measured(shown, scores)
    found = []
    for arm, row in _rows(paper):
        for column in shown:
            state = _state(arm, column, scores, failed, unscored)
            printed = papers.number(paper["table"], paper["model"], row, column.name)
            cell = measured.get((arm, column.name), Cell(state=state))
            found.append(Place(arm, row, column, cell, printed.value if printed else ""))
    return found


def claims(paper: Beside, scores: Sequence[Score], found: Sequence[Place]) -> list[Claim]:
    """What the paper's table says of an arm against another, both of them ours too, and what our *scores* say of it."""
    at = {(place.row, place.column.name): place for place in reversed(found) if place.printed}
    made = []
    for place in found:
        held = at.get((papers.reference(paper["table"], place.row) or "", place.column.name))
        if held and place.printed:
            made.append(_claim(place, held, columns(paper), scores))
    corrected = statistics.holm([claim.p for claim in made])
    return [replace(claim, p_holm=p) for claim, p in zip(made, corrected, strict=True)]


def odd(paper: Beside, found: Sequence[Place]) -> list[str]:
    """What is odd about the printed numbers among the places."""
    return papers.oddities(paper["table"], [(place.row, place.column.name) for place in found if place.printed])


def _rows(paper: Beside) -> Iterator[tuple[str, str]]:
    """(arm, row of the paper), an empty row for an arm that has none."""
    for arm, rows in paper["rows"].items():
        yield from ((arm, row) for row in rows or [""])


def _column(name: str, benchmark: str, paper: Beside) -> Column:
    about = papers.about_column(name)
    return Column(name, about["title"], benchmark, paper["benchmarks"][benchmark]["builder"] == about["builder"])


def _of_column(column: Column, scores: Sequence[Score]) -> list[Score]:
    """The scores of the column's benchmark as if its metric were their only one."""
    wanted = papers.about_column(column.name).get("metric")
    own: list[Score] = []
    for score in scores:
        if score["benchmark"] == column.benchmark:
            metric = wanted if wanted in score["metrics"] else score["metric"]
            kept = {metric: score["metrics"][metric]}
            own.append({**score, "benchmark": column.name, "metric": metric, "metrics": kept})
    return own


def _measured(shown: Sequence[Column], scores: Sequence[Score]) -> dict[tuple[str, str], Cell]:
    """{(arm, column): the mean over seeds} of what was measured."""
    own = [score for column in shown for score in _of_column(column, scores)]
    table = tables.collect(own)
    rows = table[table["seed"].astype(str) == tables.ALL].to_dict("records")
    found = {(row["arm"], row["benchmark"]): _cell(row) for row in rows}
    benchmarks = {column.name for column in shown if column.benchmark}
    if papers.AVERAGE in {column.name for column in shown} and {score["benchmark"] for score in own} == benchmarks:
        found |= {(row["arm"], papers.AVERAGE): _cell(row) for row in tables.means(own).to_dict("records")}
    return found


def _cell(row: Mapping[Any, Any]) -> Cell:
    value, low, high = (math.nan if row[name] is None else float(row[name]) for name in ("value", "low", "high"))
    return Cell(state="undefined") if math.isnan(value) else Cell(value, low, high)


def _state(
    arm: str,
    column: Column,
    scores: Sequence[Score],
    failed: Collection[str],
    unscored: Collection[tuple[str, str]],
) -> str:
    """Why there is no score, where there is none."""
    if (arm, column.benchmark) in unscored:
        return NOT_SCORED
    if not column.benchmark and any(score["arm"] == arm for score in scores):
        return INCOMPLETE
    return "failed" if arm in failed else NOT_RUN


def _claim(first: Place, second: Place, shown: Sequence[Column], scores: Sequence[Score]) -> Claim:
    claim = Claim(first.arm, second.arm, first.column, float(first.printed) - float(second.printed))
    missing = first.measured.state or second.measured.state
    pairs = [] if missing else _pairs(first.arm, second.arm, first.column, shown, scores)
    if not pairs:
        return replace(claim, state=missing or "no seed in common")
    sides = [side for pair in pairs for side in pair]
    groups = [group for alike in zip(*sides, strict=True) for group in tables.same_questions(alike)]
    found = over_seeds.difference_over_seeds([_gap(*pair) for pair in pairs], groups)
    return replace(claim, difference=100 * found.value, low=100 * found.low, high=100 * found.high, p=found.p)


def _pairs(
    arm: str, against: str, column: Column, shown: Sequence[Column], scores: Sequence[Score]
) -> list[tuple[list[Score], list[Score]]]:
    """For each training seed that both have, the scores of one and the other: one each, or one each per benchmark."""
    wanted = [column] if column.benchmark else [other for other in shown if other.benchmark]
    seeds: dict[Any, tuple[list[Score], list[Score]]] = {}
    for other in wanted:
        for score in _of_column(other, scores):
            if score["arm"] in (arm, against):
                seeds.setdefault(score["seed"], ([], []))[score["arm"] == against].append(score)
    return [pair for pair in seeds.values() if all(len(side) == len(wanted) for side in pair)]


def _gap(ours: Sequence[Score], theirs: Sequence[Score]) -> statistics.Statistic:
    """The difference of two scores, or of two means over benchmarks, as a function of weights."""
    if len(ours) == 1:
        first, second = (tables.statistic(scores[0], scores[0]["metric"]) for scores in (ours, theirs))
    else:
        first, second = tables.mean_statistic(ours), tables.mean_statistic(theirs)
    return lambda weights: first(weights) - second(weights)
