"""What the papers print, from docs/paper_results.csv: numbers to stand beside ours, never in their place."""

from __future__ import annotations

import csv
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "paper_results.csv"


def printed(table: str, benchmark: str) -> dict[str, float]:
    """{arm: value} of *benchmark* in *table*, arms and tables as the file names them; empty where there is no file."""
    if not RESULTS.exists():
        return {}
    with RESULTS.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["table"], row["benchmark"]) == (table, benchmark)]
    return {row["arm"]: float(row["value"]) for row in rows}
