"""The text of example.yaml, and the slices of all jobs of a plan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from steering.manifest import digest
from steering.plan import Plan

TEXT = (Path(__file__).resolve().parent / "example.yaml").read_text(encoding="utf-8")
RUNS = [("small", 0), ("long", 0), ("long", 3)]
RUN_RULES = ("tune", "predict", "score", "attention")

Job = tuple[str, ...]


def replaced(old: str, new: str, text: str = TEXT) -> str:
    assert old in text
    return text.replace(old, new, 1)


def slices(plan: Plan) -> dict[Job, dict]:
    return dict(_slices(plan))


def _slices(plan: Plan) -> Iterator[tuple[Job, dict]]:
    params = plan.params
    yield from ((("fetch", name), plan.fetch(name)) for name in params.sources)
    yield from ((("language_model", name), plan.language_model(name)) for name in params.language_models)
    yield from ((("vision_encoder", name), plan.vision_encoder(name)) for name in params.vision_encoders)
    for world in params.worlds:
        yield ("connector", world), plan.connector(world, 0)
        for name in plan.datasets_of(world):
            yield ("dataset", world, name), plan.dataset(world, name)
            yield ("check", world, name), plan.check(world, name)
            yield ("features", world, name), plan.features(world, name)
        yield from ((("mixture", world, name), plan.mixture(world, name)) for name in params.worlds[world].mixtures)
    for experiment in params.experiments:
        yield ("report", experiment), plan.report(experiment)
        for run in plan.runs(experiment):
            for rule in RUN_RULES:
                names = (run.world, run.data, run.arm, run.seed)
                yield (rule, *map(str, names)), getattr(plan, rule)(*names)


def changed(before: Plan, after: Plan) -> set[Job]:
    old, new = slices(before), slices(after)
    assert old.keys() == new.keys()
    return {job for job in old if digest(old[job]) != digest(new[job])}
