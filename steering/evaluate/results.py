"""What the runs of an experiment left behind, read back: scores, predictions, attention, manifests, metrics."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from steering import layout
from steering.manifest import read_json
from steering.metrics_log import read_metrics
from steering.params import OF_A_RUN, START

Record = dict[str, Any]


@dataclass(frozen=True)
class RunResults:
    """One run's files; predictions by benchmark, scores that there are and those that say why there is none.

    analyses: the folder of each analysis that was made of it. answered: the manifest of its predictions.
    """

    name: str
    manifest: Record
    metrics: Sequence[Record]
    scores: Sequence[Record]
    unscored: Sequence[Record]
    attention: Record
    analyses: Mapping[str, Path]
    predictions: Mapping[str, Sequence[Record]]
    adapter: Path
    answered: Mapping[str, Any] = field(default_factory=dict)

    def labelled(self, labels: Mapping[tuple[str, str], str]) -> RunResults:
        """The same with benchmarks by the names that *labels* gives them, by the run's data and the benchmark."""
        names = names_of(labels, self.manifest.get("data"))
        told = {names[name]: own for name, own in self.predictions.items() if name in names}
        scores, unscored = (shown(entries, names) for entries in (self.scores, self.unscored))
        return replace(self, scores=scores, unscored=unscored, predictions=told)


def shown(entries: Iterable[Record], names: Mapping[str, str]) -> list[Record]:
    """*entries* of score files as tables take them: by the benchmarks' *names* there, without those that have none, and
    question by question in the order of ids, for that of answers hangs on what else a run was asked.
    """
    return [
        {**_by_id(entry), "benchmark": names[entry["benchmark"]]} for entry in entries if entry["benchmark"] in names
    ]


def of_start(scores: Iterable[Record], data: str, labels: Mapping[tuple[str, str], str]) -> list[Record]:
    """*scores* of the run that runs on *data* start from, as those of an arm START on *data*; what those are not asked
    is left out.
    """
    return [{**score, "arm": START, "data": data} for score in shown(scores, names_of(labels, data))]


def _by_id(entry: Record) -> Record:
    ids = entry.get("outcomes", {}).get("id", ())
    order = sorted(range(len(ids)), key=lambda place: str(ids[place]))
    columns = {name: [column[place] for place in order] for name, column in entry.get("outcomes", {}).items()}
    return entry | ({"outcomes": columns} if columns else {})


def mixtures(content: Mapping[str, Any]) -> list[str]:
    """The names of what the arms of an experiment, as a report's slice tells it, are tuned on."""
    return list(dict.fromkeys(run["data"] for run in content["runs"]))


def labels_of(content: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """(data, benchmark) -> the benchmark's name in the tables, with the data where runs on several are asked it."""
    asked = content.get("asked", {data: list(content["benchmarks"]) for data in mixtures(content)})
    times = Counter(name for names in asked.values() for name in names)
    pairs = [(data, name) for name in content["benchmarks"] for data, names in asked.items() if name in names]
    return {(data, name): name if times[name] == 1 else f"{name} ({data})" for data, name in pairs}


def names_of(labels: Mapping[tuple[str, str], str], data: str | None) -> dict[str, str]:
    """{benchmark: its name in the tables} of those that runs on *data* are asked; *labels*: those of `labels_of`."""
    return {name: label for (of, name), label in labels.items() if of == data}


def run_name(run: Mapping[str, Any]) -> str:
    world, data, arm, seed = _names(run)
    return f"{world}/{data}/{arm}/seed{seed}"


def _names(run: Mapping[str, Any]) -> tuple[str, str, str, int]:
    return run["world"], run["data"], run["arm"], run["seed"]


def read_results(runs: Iterable[Mapping[str, Any]], *, split: str) -> list[RunResults]:
    """The results of *runs* (world, data, arm, seed each) on *split*."""
    return [_read(run, split) for run in runs]


def _read(run: Mapping[str, Any], split: str) -> RunResults:
    names = _names(run)
    trained, outcome = layout.run(*names), layout.outcome(*names)
    scores, unscored = _scores(outcome, split)
    return RunResults(
        name=run_name(run),
        manifest=read_json(trained / "manifest.json"),
        metrics=read_metrics(trained / "metrics.jsonl"),
        scores=scores,
        unscored=unscored,
        attention=_attention(outcome),
        analyses={name: outcome / name for name in OF_A_RUN if (outcome / name / "manifest.json").exists()},
        predictions={name: own for (name, of), own in answers_of(outcome).items() if of == split},
        adapter=trained / "adapter",
        answered=read_json(outcome / "predictions" / "manifest.json"),
    )


def scores_there(runs: Iterable[Mapping[str, Any]], *, split: str) -> tuple[list[Record], list[Record]]:
    """Scores, and the entries that say why there is none, of those *runs* that have been scored."""
    outcomes = [layout.outcome(*_names(run)) for run in runs]
    found = [_scores(outcome, split) for outcome in outcomes if (outcome / "scores.json").exists()]
    return [score for scores, _ in found for score in scores], [entry for _, unscored in found for entry in unscored]


def _scores(outcome: Path, split: str) -> tuple[list[Record], list[Record]]:
    entries = [entry for entry in read_json(outcome / "scores.json") if entry["split"] == split]
    return [e for e in entries if "unscored" not in e], [e for e in entries if "unscored" in e]


def _attention(outcome: Path) -> Record:
    """What was measured of a run's attention; empty for one that is not asked what that is measured on."""
    path = outcome / "attention" / "attention.json"
    return read_json(path) if path.exists() else {}


def answers_of(outcome: Path) -> dict[tuple[str, str], list[Record]]:
    """A run's prediction records by (benchmark, split), in that order."""
    found: dict[tuple[str, str], list[Record]] = defaultdict(list)
    with (outcome / "predictions" / "predictions.jsonl").open(encoding="utf-8") as file:
        for line in map(json.loads, file):
            found[line["benchmark"], line["split"]].append(line)
    return dict(sorted(found.items()))
