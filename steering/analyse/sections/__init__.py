"""What an experiment's report tells beyond scores, losses and LMAR: one file for each kind of finding.

A section is a function of the report's input that gives a Section, or None where there is nothing of its kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from steering.analyse.sections import depth, landscape, paper, token_control
from steering.analyse.sections.attention_cost import attention_cost
from steering.analyse.sections.attention_shift import attention_shift
from steering.analyse.sections.maps import maps
from steering.analyse.sections.overhead import overhead
from steering.analyse.sections.section import Section
from steering.analyse.sections.seeds import seeds

if TYPE_CHECKING:
    from steering.analyse.report import ReportInput

SECTIONS: Mapping[str, Callable[[ReportInput], Section | None]] = {
    "seeds": seeds,
    "paper": paper.section,
    "depth": depth.section,
    "attention_shift": attention_shift,
    "attention_cost": attention_cost,
    "maps": maps,
    "landscape": landscape.section,
    "token_control": token_control.section,
    "overhead": overhead,
}
"""In the order shown."""


def sections(report: ReportInput) -> list[Section]:
    """The sections of *report* of which there is something to tell."""
    return [section for make in SECTIONS.values() if (section := make(report))]


__all__ = ["SECTIONS", "Section", "sections"]
