"""The numbers that the papers print beside ours, what makes them hard to compare, and what they say of arms' order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from steering.analyse import figures, unscored
from steering.analyse.beside import Claim
from steering.analyse.beside_words import Told, tell
from steering.analyse.beside_written import markdown
from steering.analyse.sections.section import Section

if TYPE_CHECKING:
    from steering.analyse.report import ReportInput

FAILED = ("failed", "diverged")


def section(report: ReportInput) -> Section | None:
    """None for an experiment that stands beside no table of the papers."""
    if report.paper is None:
        return None
    failed = {str(manifest["arm"]) for manifest in report.manifests if manifest.get("state") in FAILED}
    told = tell(report.paper, report.scores, failed=failed, unscored=unscored.places(report.unscored))
    return Section(
        name="paper",
        title="Beside the paper",
        facts={"told": told},
        charts=_charts(told, report.arms),
        text=markdown(told),
    )


def _charts(told: Told, arms: Sequence[str]) -> dict[str, figures.alt.LayerChart]:
    if not told.measured:
        return {}
    against = " and ".join(dict.fromkeys(claim.against for claim in told.measured))
    ours = pd.DataFrame([_row(claim, claim.difference) for claim in told.measured])
    printed = pd.DataFrame([_row(claim, claim.printed) for claim in told.measured])
    shown = [arm for arm in arms if arm in set(ours["arm"])]
    return {"paper": figures.forest(ours, arms, against, shown=shown, printed=printed)}


def _row(claim: Claim, difference: float) -> dict[str, object]:
    ends = {"low": claim.low, "high": claim.high, "p_holm": claim.p_holm, "verdict": claim.verdict}
    return {"arm": claim.arm, "benchmark": claim.column.title, "difference": difference, **ends}
