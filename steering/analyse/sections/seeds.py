"""The report's section of single training seeds: is it an arm that varies, or the control it is held against?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from steering.analyse.by_seed import by_seed, strip, to_read
from steering.analyse.sections.section import Section
from steering.analyse.written import to_markdown

if TYPE_CHECKING:
    from steering.analyse.report import ReportInput


def seeds(report: ReportInput) -> Section | None:
    """None where no arm has two seeds that answered all benchmarks."""
    found = by_seed(report.scores, arms=report.arms, control=report.control)
    if found.empty:
        return None
    shown = to_read(found, report.control)
    rows = shown.rename(columns={shown.columns[0]: "arm"}).to_dict("records")
    facts = {"columns": [*shown.columns][1:], "rows": rows}
    return Section("seeds", "Seed by seed", facts, {"seeds": strip(found, report.arms)}, text=to_markdown(shown))
