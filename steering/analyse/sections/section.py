"""A part of a report: its heading, its template, and what the template and the folder of results are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Section:
    """name: its anchor, and its template, templates/sections/NAME.html.j2, which sees `section`, `report` and `figure`.

    facts: what the template shows; charts: altair charts by a name of their own, which the template places by
    figure(name, title, caption) and which become PNGs; text: what is added to table.md.
    """

    name: str
    title: str
    facts: Mapping[str, Any]
    charts: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
