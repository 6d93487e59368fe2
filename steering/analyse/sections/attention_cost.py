"""Attention on the picture against the parameters that were trained for it (MoReS paper, Fig. 1, right).

    visual attention of a sample = mean over layers of the share of attention on visual positions

An arm's interval is over training seeds and groups of questions (steering.analyse.over_seeds).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from steering.analyse import figures
from steering.analyse.over_seeds import mean_over_seeds
from steering.analyse.sections.section import Section
from steering.analyse.statistics import Interval, mean_of
from steering.analyse.written import to_markdown

if TYPE_CHECKING:
    from steering.analyse.report import ReportInput

Record = Mapping[str, Any]


def attention_cost(report: ReportInput) -> Section | None:
    """None where no run tells the attention of its samples, or none tells what it trained."""
    points = _points(report)
    if not len(points):
        return None
    charts = {"attention_cost": figures.attention_cost(points, report.arms)}
    return Section(
        "attention_cost", "Attention and parameters", {"seeds": int(points["seeds"].max())}, charts, _text(points)
    )


def _points(report: ReportInput) -> pd.DataFrame:
    """A row per arm: arm, trainable_llm, value, low, high (0..1), seeds."""
    counts = {manifest["arm"]: manifest.get("trainable_llm") for manifest in report.manifests}
    rows = []
    for arm in report.arms:
        own = [entry for entry in report.attention if entry["arm"] == arm and "id" in entry.get("samples", {})]
        if own and counts.get(arm) is not None:
            found = visual_attention([entry["samples"] for entry in own])
            rows.append({"arm": arm, "trainable_llm": counts[arm], **found.as_dict(), "seeds": len(own)})
    return pd.DataFrame(rows, columns=["arm", "trainable_llm", "value", "low", "high", "seeds"])


def visual_attention(seeds: Sequence[Record]) -> Interval:
    """The mean over training seeds, of the samples that all of them have: columns id, group and visual_attention."""
    tables = [dict(zip(seed["id"], seed["visual_attention"], strict=True)) for seed in seeds]
    groups = dict(zip(seeds[0]["id"], seeds[0]["group"], strict=True))
    shared = [key for key in groups if all(key in table for table in tables)]
    means = [mean_of([table[key] for key in shared]) for table in tables]
    return mean_over_seeds(means, [groups[key] for key in shared]).within(0, 1)


def _text(points: pd.DataFrame) -> str:
    percent = {name: [f"{100 * value:.1f}" for value in points[name]] for name in ("value", "low", "high")}
    told = {"arm": points["arm"], "trained in the LLM": [f"{count:,}" for count in points["trainable_llm"]]}
    told |= {"attention on visual tokens, %": percent["value"]}
    told |= {"95 %": [f"{low} to {high}" for low, high in zip(percent["low"], percent["high"], strict=True)]}
    return to_markdown(pd.DataFrame(told))
