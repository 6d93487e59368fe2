"""Score files as tables: the long table.csv, the paired differences to a control, and the table a person reads.

Values are in 0..1 with 95 % intervals, differences in percentage points. Seed "all" is the mean over training seeds
with an interval over seeds and groups of questions (`over_seeds`); with one seed it is that seed's score,
whose interval knows the sampling of questions only. The guessers' baselines stand beside the arms as `blind` and
`majority`; they have no training seed and so appear under "all" alone. `start`, the tuned model that the runs of an
experiment start from, is no arm either.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from steering.analyse import over_seeds, statistics
from steering.analyse.unscored import NO_GUESSER, NOT_SCORED
from steering.errors import DataError
from steering.evaluate.benchmarks import FORMS
from steering.evaluate.benchmarks.form import PointsForm
from steering.params import BASELINES, START

Score = Mapping[str, Any]
COLUMNS = ["world", "experiment", "arm", "seed", "benchmark", "metric", "value", "low", "high", "n"]
COLUMNS += ["trainable_llm", "trainable_all"]
BESIDE_ARMS = (START, *BASELINES)
ALL = "all"
LEVEL = 0.05  # of Holm's family of all differences shown together
NO_DIFFERENCE = "no difference shown"
UNCLEAR = "unclear: does not survive the correction for many comparisons"


@dataclass(frozen=True)
class Cell:
    """One arm on one benchmark, 0..1; state says "" for a score, else "failed", "not run", "not scored" or the like."""

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    best: bool = False
    state: str = ""

    def __str__(self) -> str:
        if self.state:
            return self.state
        text = f"{100 * self.value:.1f} [{100 * self.low:.1f}, {100 * self.high:.1f}]"
        return f"**{text}**" if self.best else text


@dataclass(frozen=True)
class Row:
    """One arm of the table a person reads; counts are None where no run tells them."""

    arm: str
    trainable_llm: int | None
    trainable_all: int | None
    cells: dict[str, Cell]


def collect(
    scores: Sequence[Score], *, manifests: Sequence[Mapping[str, Any]] = (), experiment: str = ""
) -> pd.DataFrame:
    """The long table (COLUMNS): one row per arm, benchmark, metric and seed, seed "all", and the baselines.

    *manifests* of the runs give the numbers of trainable parameters. Raises DataError where seeds of one arm answered
    different questions.
    """
    rows = [_row(score, metric, entry) for score in scores for metric, entry in score["metrics"].items()]
    rows += [row for group in _by(scores, "arm", "benchmark").values() for row in _mean_rows(group)]
    rows += [row for group in _by(scores, "benchmark").values() for row in _baseline_rows(group[0])]
    counts = {str(manifest["arm"]): manifest for manifest in manifests}
    for row in rows:
        for name in ("trainable_llm", "trainable_all"):
            row[name] = 0 if row["arm"] in BESIDE_ARMS else counts.get(row["arm"], {}).get(name)
    table = pd.DataFrame([{"experiment": experiment, **row} for row in rows], columns=COLUMNS)
    return table.astype({"trainable_llm": "Int64", "trainable_all": "Int64"})


def differences(scores: Sequence[Score], *, control: str = "none") -> pd.DataFrame:
    """Each arm against *control* on each benchmark, in percentage points of correct answers, paired by question.

    Columns: arm, benchmark, n, seeds, difference, low, high, p, p_holm, verdict. Training seeds that both have are
    paired with each other; p_holm is corrected over all rows. Interval and p are over groups and, of several seeds,
    over seeds too. A row is missing where *control* or the arm has no score. *control* may be a guesser.
    """
    rows = []
    for (arm, benchmark), ours in _by(scores, "arm", "benchmark").items():
        theirs = _guesser(ours, control) or [s for s in scores if s["arm"] == control and s["benchmark"] == benchmark]
        if arm != control and (row := _difference(ours, theirs)):
            rows.append({"arm": arm, "benchmark": benchmark, **row})
    corrected = statistics.holm([row["p"] for row in rows])
    for row, p_holm in zip(rows, corrected, strict=True):
        row |= {"p_holm": p_holm, "verdict": verdict(row["low"], row["high"], p_holm)}
    columns = ["arm", "benchmark", "n", "seeds", "difference", "low", "high", "p", "p_holm", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def verdict(low: float, high: float, p_holm: float) -> str:
    """What an interval of a difference and its corrected p allow to be said, in words."""
    if math.isnan(low) or low <= 0 <= high:
        return NO_DIFFERENCE
    if not p_holm < LEVEL:
        return UNCLEAR
    return "higher" if low > 0 else "lower"


def means(scores: Sequence[Score], *, manifests: Sequence[Mapping[str, Any]] = ()) -> pd.DataFrame:
    """The mean of the main metrics over all benchmarks per arm: arm, trainable_llm, trainable_all, value, low, high.

    A metric that goes beyond 1 (MME's sums) counts as the share of the most that it can be.
    Groups (pictures) that several benchmarks share are resampled together. An arm that lacks a benchmark is left out:
    its mean would be of something else.
    """
    benchmarks = main_metrics(scores)
    counts = {str(manifest["arm"]): manifest for manifest in manifests}
    rows = []
    for arm, own in _by(scores, "arm").items():
        complete = [seed for seed in _by(own, "seed").values() if {s["benchmark"] for s in seed} == set(benchmarks)]
        if complete:
            llm, everything = (counts.get(arm, {}).get(name) for name in ("trainable_llm", "trainable_all"))
            interval = _mean_interval(complete).as_dict()
            rows.append({"arm": arm, "trainable_llm": llm, "trainable_all": everything, **interval})
    return pd.DataFrame(rows, columns=["arm", "trainable_llm", "trainable_all", "value", "low", "high"])


def main_metrics(scores: Sequence[Score]) -> dict[str, str]:
    """{benchmark: the metric that goes into the table}, in the order of *scores*."""
    return {score["benchmark"]: score["metric"] for score in scores}


def tops(scores: Sequence[Score]) -> dict[str, float]:
    """{benchmark: the most that its main metric can be}, 1 for all but sums."""
    return {score["benchmark"]: top(score, score["metric"]) for score in scores}


def top(score: Score, metric: str) -> float:
    """The most that *metric* can be, 1 for all but sums."""
    form = FORMS[score["form"]]
    return form.top(metric) if isinstance(form, PointsForm) else 1.0


def in_shares(rows: pd.DataFrame, tops: Mapping[str, float]) -> pd.DataFrame:
    """*rows* with value, low and high as shares of the most that the benchmark's metric can be."""
    columns = ["value", "low", "high"]
    return rows.assign(**{name: rows[name] / rows["benchmark"].map(dict(tops)) for name in columns})


def main_rows(table: pd.DataFrame, metrics: Mapping[str, str]) -> pd.DataFrame:
    """The rows of the long *table* that are shown: seed "all" and each benchmark's metric of *metrics*."""
    shown = table["benchmark"].map(dict(metrics)) == table["metric"]
    return table[shown & (table["seed"].astype(str) == ALL)]


def rows_to_read(
    table: pd.DataFrame,
    metrics: Mapping[str, str],
    *,
    arms: Sequence[str],
    failed: Sequence[str] = (),
    unscored: Collection[tuple[str, str]] = (),
) -> list[Row]:
    """The long *table* as rows of cells in the order of *arms*, then the baselines; columns are those of *metrics*.

    failed: arms that have no score because of it; unscored: (arm, benchmark) whose answers could not be scored.
    """
    chosen = main_rows(table, metrics)
    found = {(row["arm"], row["benchmark"]): row for row in chosen.to_dict("records")}
    best = chosen[chosen["arm"].isin(arms)].groupby("benchmark")["value"].max()
    highest = {str(benchmark): float(value) for benchmark, value in best.items()}
    names = [*arms, *(name for name in BESIDE_ARMS if any((name, benchmark) in found for benchmark in metrics))]
    absent = dict.fromkeys(failed, "failed") | dict.fromkeys(BASELINES, NO_GUESSER)
    missing = {(arm, name): absent.get(arm, "not run") for arm in names for name in metrics}
    missing |= dict.fromkeys(unscored, NOT_SCORED)
    return [_row_to_read(arm, found, metrics, highest, missing) for arm in names]


def _by(scores: Sequence[Score], *names: str) -> dict[Any, list[Score]]:
    """Scores grouped by the values of *names* (bare for one name), in order of appearance."""
    groups: dict[Any, list[Score]] = {}
    for score in scores:
        key = tuple(score[name] for name in names)
        groups.setdefault(key if len(names) > 1 else key[0], []).append(score)
    return groups


def _row(score: Score, metric: str, entry: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    values = {name: math.nan if entry[name] is None else entry[name] for name in ("value", "low", "high")}
    head = {name: score[name] for name in ("world", "arm", "seed", "benchmark", "n")}
    return {**head, "metric": metric, **values, **changes}


def _baseline_rows(score: Score) -> Iterator[dict[str, Any]]:
    for name, metrics in score.get("baselines", {}).items():
        yield from (_row(score, metric, entry, arm=name, seed=ALL) for metric, entry in metrics.items())


def _mean_rows(scores: Sequence[Score]) -> Iterator[dict[str, Any]]:
    first = scores[0]
    for metric, entry in first["metrics"].items():
        if len(scores) > 1:
            groups = same_questions(scores)
            found = over_seeds.mean_over_seeds([statistic(score, metric) for score in scores], groups)
            entry = found.within(0, top(first, metric)).as_dict()
        yield _row(first, metric, entry, seed=ALL)


def statistic(score: Score, metric: str) -> statistics.Statistic:
    """*metric* of *score* as a function of weights (..., n)."""
    form = FORMS[score["form"]]
    skipped = ("id", "group", *(f"{name}_correct" for name in BASELINES))
    columns = {name: np.asarray(v, dtype=float) for name, v in score["outcomes"].items() if name not in skipped}
    return lambda weights: form.measure(metric, columns, weights)


def same_questions(scores: Sequence[Score]) -> list[str]:
    """The groups of the questions, once it is sure that all *scores* have the same ones in the same order."""
    first = scores[0]["outcomes"]
    for score in scores[1:]:
        if score["outcomes"]["id"] != first["id"]:
            raise DataError(
                f"{score['run']}: {score['benchmark']}: other questions than {scores[0]['run']}; evaluate again"
            )
    return list(first["group"])


def _mean_interval(seeds: Sequence[Sequence[Score]]) -> statistics.Interval:
    """The mean over benchmarks, then seeds; *seeds*: for each training seed the scores of all benchmarks."""
    ordered = [sorted(scores, key=lambda score: str(score["benchmark"])) for scores in seeds]
    groups = [group for scores in zip(*ordered, strict=True) for group in same_questions(scores)]
    return over_seeds.mean_over_seeds([mean_statistic(scores) for scores in ordered], groups).within(0, 1)


def mean_statistic(scores: Sequence[Score]) -> statistics.Statistic:
    parts = [statistic(score, score["metric"]) for score in scores]
    highest = tops(scores)
    most = [highest[score["benchmark"]] for score in scores]
    ends = np.cumsum([len(score["outcomes"]["id"]) for score in scores])[:-1]

    def mean(weights: np.ndarray) -> np.ndarray:
        slices = np.split(weights, ends, axis=-1)
        return np.mean([part(own) / top for part, own, top in zip(parts, slices, most, strict=True)], axis=0)

    return mean


def _difference(ours: Sequence[Score], theirs: Sequence[Score]) -> dict[str, Any] | None:
    """difference, low, high in percentage points, p, n and seeds over the training seeds that both have."""
    pairs = [(first, second) for first in ours for second in theirs if first["seed"] == second["seed"]]
    if not pairs:
        return None
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    same_questions([*first, *second])
    answered = [[score["outcomes"] for score in scores] for scores in (first, second)]
    found = over_seeds.paired_difference_over_seeds(*answered).within(-1, 1)
    points = {"difference": 100 * found.value, "low": 100 * found.low, "high": 100 * found.high}
    return {"n": found.n, "seeds": len(pairs), **points, "p": found.p}


def _guesser(ours: Sequence[Score], name: str) -> list[Score]:
    """The answers of the guesser *name* in place of the model's; empty where there is none of that name."""
    column = f"{name}_correct"
    known = [score for score in ours if name in BASELINES and column in score["outcomes"]]
    return [{**score, "outcomes": {**score["outcomes"], "correct": score["outcomes"][column]}} for score in known]


def _row_to_read(
    arm: str,
    found: Mapping[Any, Any],
    metrics: Mapping[str, str],
    best: Mapping[str, float],
    missing: Mapping[Any, str],
) -> Row:
    rows = {benchmark: found.get((arm, benchmark)) for benchmark in metrics}
    cells = {name: _cell(row, best.get(name), missing[arm, name]) for name, row in rows.items()}
    counts: Mapping[str, Any] = next((row for row in rows.values() if row), {})
    llm, everything = (_known(counts.get(name)) for name in ("trainable_llm", "trainable_all"))
    return Row(arm, llm, everything, cells)


def _cell(row: Mapping[str, Any] | None, best: float | None, missing: str) -> Cell:
    if row is None or pd.isna(row["value"]):
        return Cell(state=missing if row is None else "undefined")
    leads = row["arm"] not in BESIDE_ARMS and row["value"] == best
    return Cell(row["value"], row["low"], row["high"], best=leads)


def _known(count: Any) -> int | None:
    return None if count is None or pd.isna(count) else int(count)
