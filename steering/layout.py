"""The only place that spells a path: every file the pipeline reads or writes, relative to the project's root."""

from __future__ import annotations

import os
from pathlib import Path

STORE = Path(".store")
SLICES = STORE / "slices"
RUNS = Path(os.environ.get("STEERING_STORE") or Path(os.environ.get("DVC_ROOT", ""), STORE), "runs")
"""The run store, which checkouts may share: what it holds is named by its contents. Where DVC tries an experiment in a
folder of its own, it is that of the project it came from.
"""

ATTEMPTS = STORE / "attempts"
HEAD = STORE / "head.json"
LOGS = Path("logs")
DATABASE = Path("mlflow.db")
ARTIFACTS = Path("mlartifacts")
INDEX = Path("results") / "index.html"
PUBLISHED = Path("docs") / "outcomes"


def download(source: str) -> Path:
    """The fetched file of a source, whatever its name upstream."""
    return Path("downloads") / source


def language_model(name: str) -> Path:
    return Path("models") / "language" / name


def vision_encoder(name: str) -> Path:
    return Path("models") / "vision" / name


def dataset(world: str, name: str) -> Path:
    return Path("data") / world / name


def check(world: str, name: str) -> Path:
    """What the picture check of a data set found."""
    return Path("data") / world / "checks" / f"{name}.json"


def features(world: str, name: str) -> Path:
    return Path("data") / world / "features" / f"{name}.safetensors"


def mixture(world: str, name: str) -> Path:
    return Path("data") / world / "mixtures" / f"{name}.json"


def mixture_facts(world: str, name: str) -> Path:
    """What is in a mixture, and what was left out of it."""
    return mixture(world, name).with_suffix(".facts.json")


def connector(world: str, seed: int | str) -> Path:
    """What was pretrained with *seed*, the pretraining's own."""
    return Path("checkpoints") / "connectors" / world / f"seed{seed}"


def run(world: str, data: str, arm: str, seed: int | str) -> Path:
    return Path("checkpoints") / "runs" / world / data / arm / f"seed{seed}"


def outcome(world: str, data: str, arm: str, seed: int | str) -> Path:
    """Predictions, scores and attention of a run."""
    return Path("results") / "runs" / world / data / arm / f"seed{seed}"


def verdicts(judge: str) -> Path:
    """What a judge ever answered, kept for all runs."""
    return STORE / "verdicts" / f"{judge}.jsonl"


def prediction_part(world: str, data: str, arm: str, seed: int | str, part: int | str) -> Path:
    """Where a run is asked in parts: the answers of one of them, counted from 1."""
    return outcome(world, data, arm, seed) / "prediction_parts" / f"part{part}"


def analysis(world: str, data: str, arm: str, seed: int | str, analysis: str) -> Path:
    """What an analysis found about a run: its record, and pictures or arrays beside it."""
    return outcome(world, data, arm, seed) / analysis


def card(world: str, data: str, arm: str, seed: int | str) -> Path:
    """What a run's adapter is, for whoever is handed it."""
    return outcome(world, data, arm, seed) / "card.md"


def published(world: str, data: str, arm: str, seed: int | str) -> Path:
    """What a run answered right and wrong, in git, for whoever has not trained it."""
    return PUBLISHED / world / data / arm / f"seed{seed}.json"


def published_attention(world: str, data: str, arm: str, seed: int | str) -> Path:
    return PUBLISHED / world / data / arm / f"seed{seed}-attention.json"


def published_questions(world: str, benchmark: str, digest: str) -> Path:
    return PUBLISHED / world / "questions" / f"{benchmark}-{digest}.json"


def experiment(name: str) -> Path:
    return Path("results") / name


def overhead(experiment: str) -> Path:
    """Seconds a question takes with each arm of an experiment."""
    return Path("results") / experiment / "overhead.json"


def figures(experiment: str) -> Path:
    """The figures of an experiment's report, in a folder of their own."""
    return Path("results") / experiment / "figures"


def partial_report(experiment: str) -> Path:
    """Of an experiment some of whose runs did not come through."""
    return Path("results") / experiment / "partial"


def log(rule: str, **words: int | str) -> Path:
    """What a job said, by its rule and wildcards."""
    marks = {"seed": "seed", "part": "part"}
    names = [f"{marks.get(name, '')}{word}" for name, word in words.items()]
    return LOGS.joinpath(rule, *names[:-1], f"{names[-1]}.log")


def attempt(rule: str, digest: str) -> Path:
    """Who works on the job with the slice *digest*, or how its last attempt ended."""
    return ATTEMPTS / rule / f"{digest}.json"
