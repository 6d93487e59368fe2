"""Names in params.yaml that must stand elsewhere in it.

They are looked up in the bare mapping, before it is known to be well formed, so that a misspelt key hides no
misspelt name; what is not where it belongs is left to the types to tell.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from steering import papers
from steering.arms.schedules import layer_faults
from steering.errors import nearest

RULES = {"all", "fetch", "language_model", "vision_encoder", "dataset", "check", "features", "mixture", "connector"}
RULES |= {"tune", "predict_part", "predict", "judge", "score", "submit", "attention", "analysis", "overhead"}
RULES |= {"report", "index", "track", "tracking_database"}
RULES |= {"phase_data", "phase_pretrain", "phase_tune", "phase_report"}
MERGE = ("none", "full", "lora", "oft", "ia3")
"""Methods that merge into the language model's weights, so that tuning may go on from them."""

RUNS_FOLDER = "runs"
DATA_FOLDERS = ("checks", "features", "mixtures")


def lookup(raw: Any, *keys: Any) -> Any:
    """What stands under *keys*, one below the other; None where nothing does."""
    for key in keys:
        raw = raw.get(key) if isinstance(raw, dict) and isinstance(key, str) else None
    return raw


def entries(raw: Any, *keys: str) -> Iterator[tuple[str, Any]]:
    """The named parts of the mapping under *keys*."""
    found = lookup(raw, *keys)
    for name, part in found.items() if isinstance(found, dict) else ():
        if isinstance(name, str):
            yield name, part


def names_in(value: Any) -> list[str]:
    """The names in a name, a list of names or a mapping's keys."""
    values = [value] if isinstance(value, str) else value if isinstance(value, list | dict) else []
    return [name for name in values if isinstance(name, str)]


def name_faults(raw: dict[str, Any]) -> Iterator[str]:
    """One line for every name that stands nowhere, that stands twice, or that is taken."""
    yield from _known("default", raw.get("default"), raw.get("experiments"))
    for kind in ("language_models", "vision_encoders"):
        for name, model in entries(raw, kind):
            yield from _known(f"{kind}.{name}.source", lookup(model, "source"), raw.get("sources"))
    for name, encoder in entries(raw, "vision_encoders"):
        whole = {n: row for n, row in entries(raw, "vision_encoders") if not lookup(row, "parts")}
        yield from _known(f"vision_encoders.{name}.parts", lookup(encoder, "parts"), whole)
    for name, world in entries(raw, "worlds"):
        yield from _world_faults(f"worlds.{name}", world, raw)
    for name, experiment in entries(raw, "experiments"):
        yield from _experiment_faults(f"experiments.{name}", name, experiment, raw)
    yield from _attention_faults(raw)


def _world_faults(where: str, world: Any, raw: dict[str, Any]) -> Iterator[str]:
    datasets, benchmarks = lookup(world, "datasets"), lookup(world, "benchmarks")
    yield from _known(f"{where}.language_model", lookup(world, "language_model"), raw.get("language_models"))
    yield from _known(f"{where}.vision_encoder", lookup(world, "vision_encoder"), raw.get("vision_encoders"))
    yield from _known(f"{where}.pretrain.dataset", lookup(world, "pretrain", "dataset"), datasets)
    for name, dataset in entries(world, "datasets"):
        yield from _known(f"{where}.datasets.{name}.sources", lookup(dataset, "sources"), raw.get("sources"))
        yield from _free(f"{where}.datasets.{name}", name, DATA_FOLDERS, "a folder beside the data sets")
    for name, benchmark in entries(world, "benchmarks"):
        yield from _known(f"{where}.benchmarks.{name}.dataset", lookup(benchmark, "dataset"), datasets)
    for name, mixture in entries(world, "mixtures"):
        yield from _known(f"{where}.mixtures.{name}.shares", lookup(mixture, "shares"), benchmarks)
        yield from _known(f"{where}.mixtures.{name}.conversations", lookup(mixture, "conversations"), datasets)
        yield from _known(f"{where}.mixtures.{name}.asks", lookup(mixture, "asks"), benchmarks)
        yield from _start_faults(f"{where}.mixtures.{name}.start", lookup(mixture, "start"), world, raw)
        yield from _unseen_faults(f"{where}.mixtures.{name}.unseen", mixture, world)
    for name, wanted in entries(world, "analyses"):
        yield from _known(f"{where}.analyses.{name}.benchmark", lookup(wanted, "benchmark"), benchmarks)
    yield from _layer_faults(f"{where}.analyses", world, raw)
    yield from _known(f"{where}.judge", lookup(world, "judge"), raw.get("judges", {}))


def _start_faults(where: str, start: Any, world: Any, raw: dict[str, Any]) -> Iterator[str]:
    """A run starts from one that started from a connector, by a method that merges into the weights."""
    if start is None:
        return
    first = {name: told for name, told in entries(world, "mixtures") if lookup(told, "start") is None}
    merged = {name: told for name, told in entries(raw, "arms") if lookup(told, "method") in MERGE}
    yield from _known(f"{where}.data", lookup(start, "data"), first)
    yield from _known(f"{where}.arm", lookup(start, "arm"), merged)
    if lookup(world, "tune", "encoder_layers"):
        yield f"{where}: with encoder_layers, which train another encoder in every run; allowed: one of both"


def _unseen_faults(where: str, mixture: Any, world: Any) -> Iterator[str]:
    start = lookup(mixture, "start", "data")
    if lookup(mixture, "unseen") and isinstance(start, str) and lookup(world, "mixtures", start, "conversations"):
        yield f"{where}: start is on conversations of a data set; allowed: on shares"


def _layer_faults(where: str, world: Any, raw: dict[str, Any]) -> Iterator[str]:
    """Maps, counted from 1, and token control's edits, counted from 0, are of layers that the language model has."""
    depth = lookup(raw, "language_models", lookup(world, "language_model"), "config", "num_hidden_layers")
    if not isinstance(depth, int):
        return
    wanted = lookup(world, "analyses", "maps", "layers")
    for layer in wanted if isinstance(wanted, list) else ():
        if isinstance(layer, int) and not 1 <= layer <= depth:
            yield f"{where}.maps.layers: {layer}; allowed: 1..{depth}, the language model's layers"
    edited = lookup(world, "analyses", "token_control", "layers")
    if isinstance(edited, str) or (isinstance(edited, list) and all(isinstance(layer, int) for layer in edited)):
        yield from layer_faults(edited, depth, key=f"{where}.token_control.layers")


def _experiment_faults(where: str, name: str, experiment: Any, raw: dict[str, Any]) -> Iterator[str]:
    yield from _free(where, name, RULES, "a rule")
    yield from _free(where, name, [RUNS_FOLDER], "the folder of all runs")
    yield from _free(where, name, [f"all_{world}" for world, _ in entries(raw, "worlds")], "all experiments of a world")
    arms, control = lookup(experiment, "arms"), lookup(experiment, "control")
    world = lookup(raw, "worlds", lookup(experiment, "world"))
    yield from _known(f"{where}.world", lookup(experiment, "world"), raw.get("worlds"))
    yield from _known(f"{where}.arms", arms, raw.get("arms"))
    yield from _known(f"{where}.control", "none" if control is None else control, arms)
    yield from _data_faults(where, experiment, world, raw)
    benchmark = lookup(experiment, "attention", "benchmark")
    yield from _known(f"{where}.attention.benchmark", benchmark, lookup(world, "benchmarks"))
    yield from _known(f"{where}.benchmarks", lookup(experiment, "benchmarks"), lookup(world, "benchmarks"))
    yield from _known(f"{where}.analyses", lookup(experiment, "analyses"), lookup(world, "analyses") or {})
    yield from _asked_faults(f"{where}.analyses", experiment, world)
    yield from _paper_faults(f"{where}.paper", experiment, world)
    for field in ("arms", "seeds", "analyses"):
        yield from _once(f"{where}.{field}", lookup(experiment, field))


def _asked_faults(where: str, experiment: Any, world: Any) -> Iterator[str]:
    """An analysis looks at answers: each run of the experiment is asked what the analysis is about."""
    for name in names_in(lookup(experiment, "analyses")):
        about = lookup(world, "analyses", name, "benchmark")
        for data in names_in(lookup(experiment, "data")) if isinstance(about, str) else ():
            asked = names_in(lookup(world, "mixtures", data, "asks"))  # none where all are asked
            if asked and about not in asked:
                allowed = ", ".join(asked)
                yield f"{where}: {name} is about {about}, which runs on {data} are not asked; allowed: {allowed}"


def _paper_faults(where: str, experiment: Any, world: Any) -> Iterator[str]:
    """What the papers do not have of the table that an experiment stands beside."""
    told, model = lookup(experiment, "paper"), lookup(experiment, "paper", "model")
    table = str(lookup(told, "table"))
    if lookup(told, "table") is None or not isinstance(model, str):
        return
    if table not in papers.comparable() or model not in papers.models(table):
        yield from _known(f"{where}.table", table, papers.comparable())
        yield from _known(f"{where}.model", model, papers.models(table) or [model])
        return
    rows, columns = papers.rows(table, model), papers.benchmarks(table, model)
    yield from _beside_faults(f"{where}.arms", lookup(told, "arms"), lookup(experiment, "arms"), rows)
    yield from _beside_faults(f"{where}.benchmarks", lookup(told, "benchmarks"), lookup(world, "benchmarks"), columns)
    yield from _alone_faults(f"{where}.benchmarks", lookup(told, "benchmarks"), lookup(world, "benchmarks"), columns)
    if lookup(experiment, "data") is not None:
        yield from _size_faults(f"{where}.arms", lookup(told, "arms"))


def _beside_faults(where: str, told: Any, ours: Any, theirs: list[str]) -> Iterator[str]:
    yield from _known(where, told, ours)
    for name, beside in entries(told):
        yield from _known(f"{where}.{name}", beside, theirs)
    names = names_in(ours)
    if names and not any(papers.beside(told, names, theirs).values()):
        allowed = f"any of {', '.join(names)}: {', '.join(theirs)}"
        yield f"{where}: nothing stands beside one of the paper's; allowed: {allowed}"


def _alone_faults(where: str, told: Any, ours: Any, theirs: list[str]) -> Iterator[str]:
    """A column has one benchmark of ours beside it."""
    beside = papers.beside(told, names_in(ours), theirs)
    for column in theirs:
        names = [name for name, places in beside.items() if column in names_in(places)]
        if len(names) > 1:
            yield f"{where}: {' and '.join(names)} stand beside {column}; allowed: one"


def _size_faults(where: str, told: Any) -> Iterator[str]:
    """A run is of one size of data; without data, an experiment may stand beside rows of several."""
    for name, beside in entries(told):
        sizes = {row.partition("@")[2] for row in names_in(beside)}
        if len(sizes) > 1:
            yield f"{where}.{name}: rows of several sizes of data, {', '.join(names_in(beside))}; allowed: of one"


def _data_faults(where: str, experiment: Any, world: Any, raw: dict[str, Any]) -> Iterator[str]:
    """What an experiment needs of its world as soon as it names data; without, it is sized only."""
    data = lookup(experiment, "data")
    if data is None or not isinstance(world, dict):
        return
    yield from _known(f"{where}.data", data, lookup(world, "mixtures") or {})
    if lookup(experiment, "attention") is None:
        yield f"{where}.attention: missing; needed where data is named: benchmark, questions"
    if lookup(world, "pretrain") is None:
        world_name = lookup(experiment, "world")
        yield f"{where}.data: {data} in world {world_name}, which has no pretrain; allowed: no data, to size it"
    for kind in ("language_model", "vision_encoder"):
        name = lookup(world, kind)
        row = lookup(raw, f"{kind}s", name)
        if row and not (lookup(row, "source") or lookup(row, "parts")):
            yield f"{where}.data: {data}, but {kind}s.{name} has no source; allowed: no data, to size it"


def _attention_faults(raw: dict[str, Any]) -> Iterator[str]:
    """A run's attention is measured once, for all experiments of its world, so on one benchmark."""
    measured: dict[str, tuple[str, str]] = {}
    for name, experiment in entries(raw, "experiments"):
        world, benchmark = lookup(experiment, "world"), lookup(experiment, "attention", "benchmark")
        if not (isinstance(world, str) and isinstance(benchmark, str)):
            continue
        first, allowed = measured.setdefault(world, (name, benchmark))
        if benchmark != allowed:
            where = f"experiments.{name}.attention.benchmark"
            yield f"{where}: {benchmark} in world {world}; allowed: {allowed}, as in experiments.{first}"


def _known(where: str, named: Any, allowed: Any) -> Iterator[str]:
    if not isinstance(allowed, list | dict):
        return
    choices = names_in(allowed)
    for name in names_in(named):
        if name not in choices:
            yield f"{where}: {name} is unknown; allowed: {', '.join(choices)}{nearest(name, choices)}"


def _free(where: str, name: str, taken: Collection[str], what: str) -> Iterator[str]:
    if name in taken:
        yield f"{where}: {name} is the name of {what}; allowed: any other name"


def _once(where: str, values: Any) -> Iterator[str]:
    given = [value for value in values if isinstance(value, str | int)] if isinstance(values, list) else []
    for value in dict.fromkeys(given):
        if given.count(value) > 1:
            yield f"{where}: {value} is given twice; once is allowed"
