"""Outcomes of runs as small files that git keeps: which questions each run answered right, and what it was asked to do.

So an arm of one's own can be paired, question by question, with arms that others trained, and a table's runs may come
from several machines. A file holds a run's scores, its columns of digits as text ("1011"); the ids and groups of the
questions lie once per benchmark, named by their digest. `asked` are the digests of the slices behind the run, rule by
rule: a run of other settings is never read as one of today's. A file beside it holds where the run looked: the
attention of each question that it was measured on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from steering import layout
from steering.errors import DataError
from steering.evaluate.results import RunResults
from steering.graph import Graph, words_of
from steering.job import UNDETERMINING
from steering.manifest import digest, read_json, write_json
from steering.slices import Run

Record = dict[str, Any]

OF_QUESTIONS = ("id", "group")
SHARED = (*UNDETERMINING, "parts", "faulty_pictures")
"""What slices say that changes no outcome."""
OWN = ("logits",)
"""What slices say that a run's file has under `made`: tables tell where it is another, and leave no run out for it."""

TOLD = ("method", "trainable_llm", "trainable_all")
MADE = ("commit", "finished", "computed_in", "versions")

OF_ATTENTION = ("benchmark", "layers", "n", "protocol")
OF_SAMPLES = ("id", "group", "mass", "counts")


def asked(graph: Graph, run: Run, rule: str = "score") -> dict[str, str]:
    """Rule -> the digest of all slices of that rule which *run*'s scores, or its outcome of another *rule*, rest on."""
    found: dict[str, list[Record]] = {}
    for above, words in graph.rests_on(rule, words_of(run)):
        told = getattr(graph.plan, above)(**words)
        found.setdefault(above, []).append({name: value for name, value in told.items() if name not in SHARED + OWN})
    return {rule: digest(sorted(map(digest, slices))) for rule, slices in found.items()}


def publish(run: Run, results: RunResults, asked: Mapping[str, str]) -> None:
    """Write the outcomes of *run*, and its questions where no other run has left them."""
    told = {name: results.manifest[name] for name in TOLD}
    made = {name: results.manifest.get(name) for name in MADE} | {"logits": results.answered["slice"].get("logits")}
    scores = [_packed(run.world, score) for score in results.scores]
    write_json(
        layout.published(**words_of(run)),
        {**words_of(run), **told, "made": made, "asked": dict(asked), "scores": scores},
    )


def read(run: Run) -> Record | None:
    """The file of *run* with scores as a score file has them; None where it is not published.

    Raises DataError where the file or its questions are not as they were written.
    """
    path = layout.published(**words_of(run))
    if not path.exists():
        return None
    try:
        told = read_json(path)
        return {**told, "run": run.name, "scores": [_unpacked(run, told, score) for score in told["scores"]]}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not what `python -m stages.published --keep` writes ({error!r})") from error


def publish_attention(run: Run, attention: Mapping[str, Any], asked: Mapping[str, str]) -> None:
    """Write where *run* looked; *attention*: its attention.json."""
    told = {name: attention[name] for name in OF_ATTENTION}
    samples = {name: attention["samples"][name] for name in OF_SAMPLES}
    record = {**words_of(run), **told, "asked": dict(asked), "samples": samples}
    write_json(layout.published_attention(**words_of(run)), record, indent=None)


def read_attention(run: Run) -> Record | None:
    """Where *run* looked, as `steering.analyse.shift` reads it; None where that is not published. Raises DataError."""
    path = layout.published_attention(**words_of(run))
    if not path.exists():
        return None
    try:
        told = read_json(path)
        layers = {len(mass) for mass in told["samples"]["mass"].values()}
        if not isinstance(told["asked"], dict) or layers != {told["layers"]}:
            raise ValueError(f"{told['layers']} layers are expected in each mass")
        return {**told, "run": run.name}
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{path}: not what `python -m stages.published --keep` writes ({error!r})") from error


def tied(told: Record) -> bool:
    """Whether the answers of a published run were chosen among logits of bfloat16, of which many are equal.

    Runs that do not say it were answered in the dtype that they were tuned in.
    """
    return (told["made"].get("logits") or told["made"]["computed_in"]) == "bfloat16"


def changed(told: Record, today: Mapping[str, str]) -> list[str]:
    """The rules that were asked for something else than *today*."""
    return sorted(rule for rule in told["asked"].keys() | today.keys() if told["asked"].get(rule) != today.get(rule))


def _packed(world: str, score: Mapping[str, Any]) -> Record:
    questions = {name: score["outcomes"][name] for name in OF_QUESTIONS}
    name = digest(questions)
    path = layout.published_questions(world, score["benchmark"], name)
    if not path.exists():
        write_json(path, questions, indent=None)
    columns = {key: _text(own) for key, own in score["outcomes"].items() if key not in OF_QUESTIONS}
    of_run = ("world", "data", "arm", "seed", "run", "method", "outcomes")
    return {**{key: own for key, own in score.items() if key not in of_run}, "questions": name, "outcomes": columns}


def _unpacked(run: Run, told: Record, score: Mapping[str, Any]) -> Record:
    name = score["questions"]
    questions = read_json(layout.published_questions(run.world, score["benchmark"], name))
    if digest(questions) != name:
        raise ValueError(f"the questions of {score['benchmark']} have another digest")
    columns = {key: _numbers(own) for key, own in score["outcomes"].items()}
    if any(len(own) != len(questions["id"]) for own in columns.values()):
        raise ValueError(f"{score['benchmark']}: as many outcomes as questions are expected")
    own = {**words_of(run), "run": run.name, "method": told["method"]}
    return {**own, **score, "outcomes": {**questions, **columns}}


def _text(values: Sequence[Any]) -> str | list[Any]:
    """Digits as one text; other values as they are."""
    digits = all(value in range(10) for value in values)
    return "".join(str(int(value)) for value in values) if digits else list(values)


def _numbers(packed: str | Sequence[Any]) -> list[Any]:
    return [int(digit) for digit in packed] if isinstance(packed, str) else list(packed)
