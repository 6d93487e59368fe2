"""Does an arm make the answer look at the picture more than the control does? LMAR against the control's, tested."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steering.analyse import shift
from steering.analyse.sections.section import Section
from steering.analyse.written import to_markdown

if TYPE_CHECKING:
    from steering.analyse.report import ReportInput


def attention_shift(report: ReportInput) -> Section | None:
    """None where no arm's attention can be held against the control's."""
    found = shift.shifts(report.attention, arms=report.arms, control=report.control)
    if not len(found):
        return None
    rows = [{"arm": arm, "spans": own.to_dict("records")} for arm, own in found.groupby("arm", sort=False)]
    facts = {"rows": rows, "spans": list(dict.fromkeys(found["span"])), "seeds": int(found["seeds"].max())}
    facts |= {"n": int(found["n"].max())}
    text = to_markdown(shift.to_read(found, report.control))
    return Section("attention_shift", "Does the answer look at the picture more?", facts, text=text)
