"""The table a person reads as text: what stands in table.csv and table.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from steering.analyse import tables, written

Scores = list[dict[str, Any]]


@pytest.fixture(scope="module")
def table(scores: Scores, manifests: list[dict[str, Any]]) -> pd.DataFrame:
    return tables.collect(scores, manifests=manifests, experiment="first_light")


def test_written_tables_read_back(table: pd.DataFrame, scores: Scores, tmp_path: Path) -> None:
    rows = tables.rows_to_read(table, tables.main_metrics(scores), arms=["none", "mores_b", "lora"])
    written.write(table, rows, [pd.DataFrame({"arm": ["lora"], "p": ["0.5"]})], tmp_path / "new")
    assert len(pd.read_csv(tmp_path / "new" / "table.csv")) == len(table)
    lines = (tmp_path / "new" / "table.md").read_text().splitlines()
    assert lines[0].startswith("| arm | trainable (LLM) | with connector | icons-pope |")
    assert "| lora | 460,800 | 1,532,160 | **84.0 [" in lines[4]
    assert lines[-3:] == ["| arm | p |", "| --- | ---: |", "| lora | 0.5 |"]


def test_markdown_cells_cannot_break_the_table() -> None:
    assert "a\\|b" in written.to_markdown(pd.DataFrame({"x": ["a|b"]}))


def test_notes_stand_between_the_tables_as_paragraphs(table: pd.DataFrame, scores: Scores, tmp_path: Path) -> None:
    rows = tables.rows_to_read(table, tables.main_metrics(scores), arms=["none"])
    written.write(table, rows, [pd.DataFrame({"arm": ["lora"]})], tmp_path, notes=["one.", "two."])
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert lines[lines.index("one.") - 1] == ""
    assert lines[lines.index("one.") : lines.index("two.") + 3] == ["one.", "", "two.", "", "| arm |"]
