"""The table a person reads as text, and the files of an experiment's tables: table.csv (long) and table.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from steering.analyse.tables import Row

NOTHING: Mapping[str, str] = {}


def wide(rows: Sequence[Row]) -> pd.DataFrame:
    """The table a person reads, in per cent with intervals; the highest arm of a column stands between ** and **."""
    return pd.DataFrame([_row_in_words(row) for row in rows])


def to_markdown(frame: pd.DataFrame) -> str:
    """*frame* as a Markdown table; text keeps to the left, everything else to the right."""
    lines = [list(map(str, frame.columns)), ["---"] + ["---:"] * (len(frame.columns) - 1)]
    lines += [[str(value).replace("|", "\\|") for value in row] for row in frame.itertuples(index=False)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write(
    table: pd.DataFrame,
    rows: Sequence[Row],
    against: Sequence[pd.DataFrame],
    folder: Path,
    *,
    notes: Sequence[str] = (),
    more: Mapping[str, str] = NOTHING,
) -> None:
    """Write into *folder* table.csv (long) and table.md (to read: *rows*, *notes*, *against*, *more*)."""
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "table.csv", index=False)
    parts = [to_markdown(wide(rows)), *(f"{note}\n" for note in notes)]
    parts += map(to_markdown, against)
    parts += [f"## {title}\n\n{text}" for title, text in more.items()]
    (folder / "table.md").write_text("\n".join(parts), encoding="utf-8")


def _row_in_words(row: Row) -> dict[str, str]:
    counts = {"trainable (LLM)": _count(row.trainable_llm), "with connector": _count(row.trainable_all)}
    return {"arm": row.arm, **counts, **{name: str(cell) for name, cell in row.cells.items()}}


def _count(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,}"
