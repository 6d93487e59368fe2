"""The plain reading of a result: a few sentences made from the numbers alone, which also say what was not shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import pandas as pd
from markupsafe import Markup

from steering.analyse import tables
from steering.analyse.tables import Row
from steering.analyse.unscored import NOT_SCORED, footnotes

VERDICTS = {
    "higher": Markup("scores higher than {} on {}"),
    "lower": Markup("scores lower than {} on {}"),
    tables.UNCLEAR: Markup("is, corrected for many comparisons, not clearly apart from {} on {}"),
    tables.NO_DIFFERENCE: Markup("shows no difference to {} on {}"),
}

TOGETHER = {
    "higher": "Over all benchmarks together, higher than {1}: {0}.",
    "lower": "Over all benchmarks together, lower than {1}: {0}.",
    tables.UNCLEAR: "Over all benchmarks together, corrected for the number of arms, not clearly apart from {1}: {0}.",
    tables.NO_DIFFERENCE: "Over all benchmarks together, no difference to {1} is shown: {0}.",
}


class Experiment(Protocol):
    """What the sentences need to know of an experiment."""

    @property
    def arms(self) -> Sequence[str]: ...
    @property
    def seeds(self) -> Sequence[int]: ...
    @property
    def control(self) -> str: ...
    @property
    def scores(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def unscored(self) -> Sequence[Mapping[str, Any]]: ...


class Drawn(Protocol):
    """The tables that the sentences are made from."""

    @property
    def rows(self) -> list[Row]: ...
    @property
    def differences(self) -> pd.DataFrame: ...
    @property
    def overall(self) -> pd.DataFrame: ...
    @property
    def over_start(self) -> pd.DataFrame: ...


def reading(experiment: Experiment, drawn: Drawn) -> list[Markup]:
    """The result in sentences, made from the numbers alone; the names of arms in bold, all of it escaped."""
    return [
        *said_of_all_benchmarks(experiment.control, drawn.overall),
        *said_of_all_benchmarks(tables.START, drawn.over_start),
        *_said_of_differences(experiment, drawn.differences),
        *_said_of_guesser(experiment),
        *_said_of_missing(experiment, drawn.rows),
        *(Markup("{}").format(note) for note in footnotes(experiment.unscored, experiment.scores)),
    ]


def said_of_all_benchmarks(control: str, together: pd.DataFrame) -> list[Markup]:
    """Which arms beat the *control* over all benchmarks together, and by how much (`overall.overall`'s columns)."""
    sentences = []
    for verdict, words in TOGETHER.items():
        arms = together[together["verdict"] == verdict]
        if len(arms):
            gaps = _joined(_interval(row, str(row.arm)) for row in arms.itertuples())
            sentences.append(Markup(words).format(gaps, _bold(control)))
    return sentences


def _said_of_differences(experiment: Experiment, differences: pd.DataFrame) -> list[Markup]:
    if differences.empty:
        return [Markup("There is nothing to compare with {} yet.").format(_bold(experiment.control))]
    arms = [arm for arm in experiment.arms if arm in set(differences["arm"])]
    sentences = [_said_of_arm(arm, experiment.control, differences[differences["arm"] == arm]) for arm in arms]
    wide = (differences["high"] - differences["low"]).max() / 2
    caution = (
        "Numbers in brackets are 95\u00a0% intervals in percentage points. No difference shown is not the same as no "
    )
    caution += "difference: the widest interval reaches {:.0f} points to either side."
    return [*sentences, Markup(caution).format(wide)]


def _said_of_arm(arm: str, control: str, own: pd.DataFrame) -> Markup:
    """Differences with their intervals; where none is shown the benchmarks' names alone, numbers stand in the table."""
    parts = []
    for verdict, words in VERDICTS.items():
        rows = own[own["verdict"] == verdict]
        shown = verdict != tables.NO_DIFFERENCE
        gaps = [_interval(row, str(row.benchmark)) for row in rows.itertuples()] if shown else list(rows["benchmark"])
        if gaps:
            where = "any benchmark" if not shown and len(gaps) == len(own) else _joined(gaps)
            parts.append(words.format(_bold(control), where))
    return Markup("{} {}.").format(_bold(arm), Markup("; it ").join(parts))


def _said_of_guesser(experiment: Experiment) -> list[Markup]:
    """Arms by the benchmarks on which they are not shown to beat the guesser; those of the same benchmarks together."""
    gaps = tables.differences(experiment.scores, control="blind")
    if gaps.empty:
        return []
    weak = gaps[gaps["verdict"] != "higher"]
    if weak.empty:
        return [Markup("Every arm scores above a guesser that never sees the picture, on every benchmark.")]
    arms: dict[tuple[str, ...], list[Markup]] = {}
    for arm in (arm for arm in experiment.arms if arm in set(weak["arm"])):
        arms.setdefault(tuple(weak[weak["arm"] == arm]["benchmark"]), []).append(_bold(arm))
    everywhere = gaps["benchmark"].nunique()
    where = {names: "every benchmark" if len(names) == everywhere else _joined(names) for names in arms}
    parts = [Markup("{} on {}").format(_joined_bold(own), where[names]) for names, own in arms.items()]
    return [
        Markup("Not shown to be better than a guesser that never sees the picture: {}.").format(
            Markup("; ").join(parts)
        )
    ]


def _said_of_missing(experiment: Experiment, rows: Sequence[Row]) -> list[Markup]:
    rows = [row for row in rows if row.arm in experiment.arms]
    missing = [
        f"{row.arm} on {name} ({cell.state})"
        for row in rows
        for name, cell in row.cells.items()
        if cell.state not in ("", NOT_SCORED)
    ]
    scored = {(score["arm"], score["seed"]) for score in (*experiment.scores, *experiment.unscored)}
    known = {arm for arm, _ in scored}
    missing += [
        f"{a}, seed {s}" for a in experiment.arms for s in experiment.seeds if a in known and (a, s) not in scored
    ]
    return [Markup("Without a score: {}.").format(_joined(missing))] if missing else []


def _interval(row: Any, name: str) -> str:
    return f"{name} ({signed(row.difference)}\u00a0[{signed(row.low)}, {signed(row.high)}])"


def _bold(name: str) -> Markup:
    return Markup("<b>{}</b>").format(name)


def _joined(parts: Iterable[str]) -> str:
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


def _joined_bold(parts: Sequence[Markup]) -> Markup:
    *most, last = parts
    return Markup("{} and {}").format(Markup(", ").join(most), last) if most else last


def told_p(p: float) -> str:
    """*p* in three decimals; "<0.001" where they would be noughts, for no p is."""
    return "<0.001" if p < 0.0005 else f"{p:.3f}"


def signed(value: float) -> str:
    """*value* with its sign, one decimal and a true minus."""
    return f"{value:+.1f}".replace("-", "\u2212")
