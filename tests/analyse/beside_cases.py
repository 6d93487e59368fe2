"""What `Plan.beside_paper` tells of an invented experiment, for tests of what is shown of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

FORMS = {"icons-pope": "pope", "icons-iconqa": "iconqa", "countries-scienceqa": "scienceqa"}
COLUMNS = {"icons-pope": ["pope"], "icons-iconqa": [], "countries-scienceqa": ["scienceqa_img"]}
ROWS = {"none": [], "mores_b": ["mores_b"], "lora": ["lora"]}


def beside_paper(
    table: str = "1",
    model: str = "3b",
    *,
    rows: Mapping[str, Sequence[str]] = ROWS,
    columns: Mapping[str, Sequence[str]] = COLUMNS,
    builder: str = "icons",
) -> dict[str, Any]:
    asked = {
        name: {"builder": builder, "form": FORMS.get(name, "pope"), "title": name, "instruction": False}
        for name in columns
    }
    return {
        "table": table,
        "model": model,
        "rows": rows,
        "columns": columns,
        "benchmarks": asked,
        "world": {"name": "embedded", "language_model": "lm", "vision_encoder": "eye", "visual_tokens": 16},
        "training": [{"data": "icons", "steps": 120, "conversations": 5}],
        "seeds": [0, 1],
    }
