"""The numbers that versions of an experiment are compared by: `dvc metrics` and `dvc plots` read them.

metrics.json: {arm: {benchmark: {score, low, high} in per cent, against_control: {difference, low, high, p_holm}}}, the
last in points over all benchmarks, and so against_start where runs start from tuned ones; what has no score is not
there. losses.csv by step and lmar.csv by layer (without the first token, mean of ratios; Eq. 2) have a column per arm
behind the mean over arms, for DVC draws one line a file.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from steering.analyse.tables import Row
from steering.manifest import write_json

DIGITS = 4


class Drawn(Protocol):
    """What a report has drawn."""

    @property
    def rows(self) -> list[Row]: ...
    @property
    def overall(self) -> pd.DataFrame: ...
    @property
    def over_start(self) -> pd.DataFrame: ...
    @property
    def curves(self) -> pd.DataFrame: ...
    @property
    def lmar(self) -> pd.DataFrame: ...


def write(drawn: Drawn, folder: Path) -> None:
    """Write metrics.json, losses.csv and lmar.csv into *folder*."""
    write_json(folder / "metrics.json", metrics(drawn))
    by_arm(drawn.curves, at="step", value="loss").to_csv(folder / "losses.csv")
    first = drawn.lmar[drawn.lmar["variant"] == drawn.lmar["variant"].iloc[0]] if len(drawn.lmar) else drawn.lmar
    by_arm(first, at="layer", value="value", mean="lmar").to_csv(folder / "lmar.csv")


def metrics(drawn: Drawn) -> dict[str, dict[str, Any]]:
    told = {row.arm: {name: _score(cell) for name, cell in row.cells.items() if not cell.state} for row in drawn.rows}
    for name, frame in (("against_control", drawn.overall), ("against_start", drawn.over_start)):
        for row in frame.to_dict("records"):
            told[row["arm"]][name] = _numbers(row, ("difference", "low", "high", "p_holm"))
    return told


def by_arm(rows: pd.DataFrame, *, at: str, value: str, mean: str | None = None) -> pd.DataFrame:
    """*value* of *rows* by *at*, a column per arm (means over seeds), the mean over arms as the column *mean*."""
    wide = rows.pivot_table(index=at, columns="arm", values=value, aggfunc="mean", sort=False)
    wide.insert(0, mean or value, wide.mean(axis=1))
    return wide.sort_index().round(DIGITS)


def _score(cell: Any) -> dict[str, float]:
    return {
        name: round(100 * number, DIGITS) for name, number in _known(score=cell.value, low=cell.low, high=cell.high)
    }


def _known(**numbers: float) -> list[tuple[str, float]]:
    return [(name, number) for name, number in numbers.items() if not math.isnan(number)]


def _numbers(row: dict[Any, Any], names: tuple[str, ...]) -> dict[str, float]:
    return {name: round(float(row[name]), DIGITS) for name in names}
