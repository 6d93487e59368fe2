"""From predictions to a score: metrics with cluster-bootstrap intervals, guessers' baselines, and every outcome.

It works from prediction records (one JSON object a line) alone, so that a mended parser re-scores without a data set,
a model or a GPU; only the baselines need the train questions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from steering.analyse.statistics import RESAMPLES, Statistic, intervals
from steering.errors import DataError
from steering.evaluate.baselines import blind, majority
from steering.evaluate.benchmarks.form import Array, ClusteredForm, Example, Form, parse_json, read_text

Intervals = dict[str, dict[str, float | None]]

FIELDS = ("id", "image", "group", "prompt", "question", "category", "answer", "target", "answers", "choices")
NAMES_SHOWN = 5


def score(
    form: Form,
    predictions: Sequence[Mapping[str, Any]],
    *,
    train_examples: Sequence[Example] = (),
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """The part of a score file that does not depend on the run, ready for JSON (None where a metric is undefined).

    predictions: records with FIELDS; intervals resample their groups, or the clusters of a form that has some. Without
    train_examples there are no baselines.
    Raises DataError for no predictions, missing fields or an id that comes twice.
    """
    _check(predictions)
    examples = [example_of(prediction) for prediction in predictions]
    groups = _groups(form, predictions, examples)
    said = {"": [prediction["answer"] for prediction in predictions]} | _guesses(form, train_examples, examples, seed)
    outcomes = {who: _outcomes(form, examples, answers) for who, answers in said.items()}
    metrics = {who: _metrics(form, found, groups, seed, resamples) for who, found in outcomes.items()}
    own, own_metrics = outcomes.pop(""), metrics.pop("")
    return {
        "form": form.name,
        "version": form.version,
        "metric": form.metric,
        "n": len(examples),
        "unparsed": int((own["parsed"] == 0).sum()),
        "protocol": _protocol(form, len(set(groups)), seed, resamples),
        "metrics": own_metrics,
        "baselines": metrics,
        "outcomes": _columns(examples, groups, own, outcomes),
    }


def unscored(form: Form, predictions: Sequence[Mapping[str, Any]], why: str) -> dict[str, Any]:
    """In place of a score where there cannot be one: what it would have been of, and *why* it is not, in words."""
    about = {"form": form.name, "version": form.version, "metric": form.metric, "n": len(predictions)}
    return {**about, "protocol": dict(form.protocol), "unscored": why}


def without_references(predictions: Sequence[Mapping[str, Any]]) -> str:
    """Why *predictions* have no score where the references are on a test server; empty where all are here."""
    missing = sum(not prediction["answers"] for prediction in predictions)
    told = f"{missing:,} of {len(predictions):,} questions have their references on the test server alone"
    return f"{told}; the rule submit writes the file to send there" if missing else ""


def example_of(prediction: Mapping[str, Any]) -> Example:
    """The question that a prediction record answers."""
    return Example(
        id=str(prediction["id"]),
        image=prediction["image"],
        prompt=prediction["prompt"],
        target=prediction["target"],
        answers=tuple(prediction["answers"]),
        choices=tuple(prediction["choices"]),
        question=prediction["question"],
        category=prediction["category"],
    )


def prediction_of(example: Example, *, group: str, answer: str) -> dict[str, Any]:
    """The prediction record of one answer; *group* is the picture's identity, or the id without a picture."""
    return {
        "id": example.id,
        "image": example.image,
        "group": group,
        "prompt": example.prompt,
        "question": example.question,
        "category": example.category,
        "answer": answer,
        "target": example.target,
        "answers": list(example.answers),
        "choices": list(example.choices),
    }


def read_predictions(path: Path) -> list[dict[str, Any]]:
    """The prediction records of a JSON lines file; raises DataError that names the broken line."""
    lines = read_text(path).split("\n")
    return [parse_json(line, f"{path}:{n}") for n, line in enumerate(lines, start=1) if line.strip()]


def _groups(form: Form, predictions: Sequence[Mapping[str, Any]], examples: Sequence[Example]) -> list[str]:
    """What is resampled: the form's clusters where it has some, else the groups of the predictions."""
    if isinstance(form, ClusteredForm):
        return [f"{form.name}/{form.cluster(example)}" for example in examples]
    return [prediction["group"] for prediction in predictions]


def _check(predictions: Sequence[Mapping[str, Any]]) -> None:
    if not predictions:
        raise DataError("predictions: none found; a score needs at least one")
    for number, prediction in enumerate(predictions, start=1):
        missing = [name for name in FIELDS if name not in prediction]
        if missing:
            raise DataError(f"predictions: record {number} lacks {', '.join(missing)}; it takes {', '.join(FIELDS)}")
    twice = [name for name, count in Counter(str(row["id"]) for row in predictions).items() if count > 1]
    if twice:
        shown = ", ".join(twice[:NAMES_SHOWN])
        raise DataError(f"predictions: {len(twice)} ids come more than once, first {shown}; allowed is once")


def _guesses(form: Form, train: Sequence[Example], examples: list[Example], seed: int) -> dict[str, list[str]]:
    if not train:
        return {}
    return {"blind": blind(form, train, examples, seed=seed), "majority": majority(form, train, examples)}


def _outcomes(form: Form, examples: list[Example], answers: list[str]) -> dict[str, Array]:
    """Columns (n,) of the form's numbers."""
    rows = [form.outcome(example, answer) for example, answer in zip(examples, answers, strict=True)]
    return {name: np.array([row[name] for row in rows], dtype=float) for name in rows[0]}


def _metrics(form: Form, outcomes: dict[str, Array], groups: list[str], seed: int, resamples: int) -> Intervals:
    statistics = {name: _statistic(form, name, outcomes) for name in form.metrics}
    found = intervals(statistics, groups, resamples=resamples, seed=seed)
    return {name: interval.as_dict() for name, interval in found.items()}


def _statistic(form: Form, name: str, outcomes: dict[str, Array]) -> Statistic:
    return lambda weights: form.measure(name, outcomes, weights)


def _protocol(form: Form, groups: int, seed: int, resamples: int) -> dict[str, Any]:
    interval = f"95 % percentile cluster bootstrap over {groups} groups, {resamples} resamples, seed {seed}"
    return {**form.protocol, "interval": interval}


def _columns(
    examples: list[Example], groups: list[str], own: dict[str, Array], guessers: dict[str, dict[str, Array]]
) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {"id": [example.id for example in examples], "group": list(groups)}
    columns |= {name: column.tolist() for name, column in own.items()}
    return columns | {f"{who}_correct": found["correct"].tolist() for who, found in guessers.items()}
