"""One answer for a whole experiment: each arm against the control, over all benchmarks together.

    difference = mean over training seeds of the mean over benchmarks of (correct of the arm - correct of the control)

in percentage points, every benchmark weighing the same however many questions it asks. Both seeds and groups of
questions are samples (`over_seeds.difference_over_seeds`); Holm's correction is over the arms. One seed has the p of
`statistics.sign_flips`, which does not take a handful of questions for proof, as a bootstrap of them does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from steering.analyse import over_seeds, statistics, tables
from steering.analyse.reading import told_p
from steering.errors import DataError
from steering.params import START

Score = Mapping[str, Any]
COLUMNS = ["arm", "benchmarks", "seeds", "n", "difference", "low", "high", "p", "p_holm", "verdict"]


def overall(scores: Sequence[Score], *, arms: Sequence[str], control: str = "none") -> pd.DataFrame:
    """Each of *arms* against *control* (COLUMNS); an arm that lacks a benchmark or shares no seed is left out."""
    benchmarks = sorted({str(score["benchmark"]) for score in scores})
    rows = [row for arm in arms if arm != control and (row := _against(scores, arm, control, benchmarks))]
    for row, p_holm in zip(rows, statistics.holm([row["p"] for row in rows]), strict=True):
        row |= {"p_holm": p_holm, "verdict": tables.verdict(row["low"], row["high"], p_holm)}
    return pd.DataFrame(rows, columns=COLUMNS)


def over_start(scores: Sequence[Score], starts: Sequence[Score], *, arms: Sequence[str]) -> pd.DataFrame:
    """Each of *arms* against the tuned model it starts from (COLUMNS), over the benchmarks that both have."""
    asked = {score["benchmark"] for score in scores} & {score["benchmark"] for score in starts}
    shared = [score for score in (*scores, *starts) if score["benchmark"] in asked]
    return overall(shared, arms=arms, control=START)


def to_read(frame: pd.DataFrame, control: str) -> pd.DataFrame:
    """The table a person reads: arm, difference with its interval, corrected p, and what may be said."""
    words = {
        "arm": frame["arm"],
        f"against {control}, mean over benchmarks": [
            f"{row.difference:+.1f} [{row.low:+.1f}, {row.high:+.1f}]" for row in frame.itertuples()
        ],
        "p (Holm)": [told_p(p) for p in frame["p_holm"]],
        "seeds": frame["seeds"],
        "verdict": frame["verdict"],
    }
    return pd.DataFrame(words)


def _against(scores: Sequence[Score], arm: str, control: str, benchmarks: Sequence[str]) -> dict[str, Any] | None:
    """The row of one arm, or None where no training seed has all *benchmarks* in both arms."""
    ours, theirs = complete(scores, arm, benchmarks), complete(scores, control, benchmarks)
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds:
        return None
    groups = [group for score in ours[seeds[0]] for group in score["outcomes"]["group"]]
    gaps = [_gap(ours[seed], theirs[seed]) for seed in seeds]
    if len({len(gap) for gap in gaps}) > 1:
        raise DataError(f"{arm}: its training seeds answered different questions; evaluate again")
    lengths = [len(score["outcomes"]["id"]) for score in ours[seeds[0]]]
    found = over_seeds.difference_over_seeds([_macro_mean(gap, lengths) for gap in gaps], groups).within(-1, 1)
    p = found.p if len(gaps) > 1 else statistics.sign_flips(gaps[0] / np.repeat(lengths, lengths), groups)
    points = {name: 100 * getattr(found, name) for name in ("low", "high")}
    counts = {"benchmarks": len(benchmarks), "seeds": len(seeds), "n": found.n}
    return {"arm": arm, **counts, "difference": 100 * found.value, **points, "p": p}


def complete(scores: Sequence[Score], arm: str, benchmarks: Sequence[str]) -> dict[Any, list[Score]]:
    """{training seed: its scores in the order of *benchmarks*}, seeds that lack one left out."""
    found: dict[Any, dict[str, Score]] = {}
    for score in scores:
        if score["arm"] == arm:
            found.setdefault(score["seed"], {})[score["benchmark"]] = score
    return {seed: [own[name] for name in benchmarks] for seed, own in found.items() if own.keys() == set(benchmarks)}


def _gap(ours: Sequence[Score], theirs: Sequence[Score]) -> np.ndarray:
    """(n,) correct minus correct over all questions of all benchmarks, in their order."""
    for first, second in zip(ours, theirs, strict=True):
        if first["outcomes"]["id"] != second["outcomes"]["id"]:
            raise DataError(f"{first['run']}: other questions than {second['run']}; evaluate again")
    pairs = zip(ours, theirs, strict=True)
    return np.concatenate(
        [np.subtract(a["outcomes"]["correct"], b["outcomes"]["correct"], dtype=float) for a, b in pairs]
    )


def _macro_mean(values: np.ndarray, lengths: Sequence[int]) -> statistics.Statistic:
    """The mean over benchmarks of the weighted mean of each one's *values*."""
    ends = np.cumsum(lengths)[:-1]
    parts = [statistics.mean_of(own) for own in np.split(values, ends)]

    def mean(weights: np.ndarray) -> np.ndarray:
        return np.mean([part(w) for part, w in zip(parts, np.split(weights, ends, axis=-1), strict=True)], axis=0)

    return mean
