"""The text of tiny_params.yaml, and what a change of it is."""

from __future__ import annotations

from pathlib import Path

TINY = (Path(__file__).resolve().parent / "tiny_params.yaml").read_text(encoding="utf-8")

Change = tuple[str, str]
