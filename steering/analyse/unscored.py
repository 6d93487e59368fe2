"""What has no score, in words: the entries of score files that say why, as a cell's state and as footnotes.

Such an entry is no 0 and no part of any mean; tables, figures and sentences about numbers are made without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Entry = Mapping[str, Any]
NOT_SCORED = "not scored"
NO_GUESSER = "no guesser"
RUNS_NAMED = 3


def places(unscored: Sequence[Entry]) -> set[tuple[str, str]]:
    """The (arm, benchmark) that have an entry without a score."""
    return {(str(entry["arm"]), str(entry["benchmark"])) for entry in unscored}


def footnotes(unscored: Sequence[Entry], scores: Sequence[Entry] = ()) -> list[str]:
    """A sentence for each benchmark and reason, in order of appearance; runs are named where others have a score."""
    runs: dict[tuple[str, str], list[str]] = {}
    for entry in unscored:
        runs.setdefault((str(entry["benchmark"]), str(entry["unscored"])), []).append(str(entry["run"]))
    elsewhere = {str(score["benchmark"]) for score in scores}
    mixed = elsewhere | {name for name, _ in runs if sum(other == name for other, _ in runs) > 1}
    return [f"{name} is not scored{_named(own) if name in mixed else ''}: {why}." for (name, why), own in runs.items()]


def _named(runs: Sequence[str]) -> str:
    more = f" and {len(runs) - RUNS_NAMED} more" if len(runs) > RUNS_NAMED else ""
    return f" in {', '.join(runs[:RUNS_NAMED])}{more}"
