"""The numbers that the papers print, as they print them, and what is to be known of them.

results.csv: a number a line; table, model, arm (a row of the table), trainable (as printed), benchmark (a column),
value. What stands behind the @ of an arm is how many samples it was trained on. The papers give no interval.
tables.yaml: what the rows were trained on and whose questions the columns ask. oddities.yaml: what is odd.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from steering.yaml_strict import load_yaml

FOLDER = Path(__file__).parent
AVERAGE = "average"


class Printed(NamedTuple):
    """A number of a table, in the words of the paper; value is in per cent, points (MME) or seconds (A4)."""

    table: str
    model: str
    arm: str
    trainable: str
    benchmark: str
    value: str


@cache
def printed() -> tuple[Printed, ...]:
    """All numbers, in the order of the tables."""
    with (FOLDER / "results.csv").open(encoding="utf-8", newline="") as file:
        return tuple(Printed(**row) for row in csv.DictReader(file))


def tables() -> list[str]:
    return list(dict.fromkeys(number.table for number in printed()))


def comparable() -> list[str]:
    """The tables that have scores on benchmarks."""
    return [table for table in tables() if any(benchmarks(table, model) for model in models(table))]


def models(table: str) -> list[str]:
    return list(dict.fromkeys(number.model for number in printed() if number.table == table))


def rows(table: str, model: str) -> list[str]:
    """The arms of a table."""
    return list(dict.fromkeys(number.arm for number in _of(table, model)))


def columns(table: str, model: str) -> list[str]:
    """What a table's numbers are of: benchmarks, where there is one their average, or seconds."""
    return list(dict.fromkeys(number.benchmark for number in _of(table, model)))


def benchmarks(table: str, model: str) -> list[str]:
    """The columns that a benchmark of ours can stand beside."""
    return [column for column in columns(table, model) if "builder" in about_column(column)]


def number(table: str, model: str, row: str, column: str) -> Printed | None:
    """What a table has in a place; None where it has nothing."""
    return next((n for n in _of(table, model) if (n.arm, n.benchmark) == (row, column)), None)


def about_table(table: str) -> dict[str, Any]:
    """title, trained, models: {model: what it is}, against: {row: the rows that are held against it}."""
    return _told("tables")[table]


def about_column(column: str) -> dict[str, str]:
    """title; builder, of whose data sets the questions are; metric, of ours where it is not a benchmark's main one."""
    return _told("columns")[column]


def beside(told: Any, ours: Iterable[str], theirs: Collection[str]) -> dict[str, list[str]]:
    """{each of *ours*: which of *theirs* it stands beside}, as *told*, where it is not by the same name."""
    named = told if isinstance(told, dict) else {}
    places = {name: named.get(name, name if name in theirs else None) for name in ours}
    return {name: [place] if isinstance(place, str) else place or [] for name, place in places.items()}


def reference(table: str, row: str) -> str | None:
    """The row of a table that *row* is held against; None for that row itself."""
    return next((first for first, others in about_table(table)["against"].items() if row in others), None)


def oddities(table: str, places: Collection[tuple[str, str]]) -> list[str]:
    """What is odd about the numbers in *places* (row, column) of a table, a sentence or two each."""
    return [oddity["text"] for oddity in all_oddities() if any(_concerns(oddity, table, *place) for place in places)]


def all_oddities() -> list[dict[str, Any]]:
    """text, tables; arms and benchmarks where it concerns only these rows or columns."""
    return _read("oddities")["oddities"]


def _concerns(oddity: dict[str, Any], table: str, row: str, column: str) -> bool:
    return all(
        name in oddity.get(kind, [name]) for kind, name in (("tables", table), ("arms", row), ("benchmarks", column))
    )


def _of(table: str, model: str) -> list[Printed]:
    return [number for number in printed() if (number.table, number.model) == (table, model)]


def _told(kind: str) -> dict[str, Any]:
    return _read("tables")[kind]


@cache
def _read(name: str) -> dict[str, Any]:
    return load_yaml(FOLDER / f"{name}.yaml")
