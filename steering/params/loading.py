"""Reading params.yaml: worlds and experiments that extend others, every fault told at once, with what is allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from steering.arms import Arm
from steering.errors import ParamsError, nearest
from steering.faults import readable
from steering.params.experiments import BASELINES, START, Experiment
from steering.params.judges import Judge
from steering.params.models import LanguageModel, Name, Part, Source, VisionEncoder
from steering.params.worlds import World
from steering.references import entries, lookup, name_faults, names_in
from steering.yaml_strict import load_yaml

EXTENDED = ("worlds", "experiments")
Bases = Mapping[str, Mapping[str, Any]]
"""By kind, the entry that each entry extends, if any."""


class Params(Part):
    """All of params.yaml."""

    default: Name
    sources: dict[Name, Source]
    language_models: dict[Name, LanguageModel]
    vision_encoders: dict[Name, VisionEncoder]
    judges: dict[Name, Judge] = {}
    worlds: dict[Name, World]
    arms: dict[Name, Arm]
    experiments: dict[Name, Experiment]


def load(path: Path = Path("params.yaml")) -> Params:
    """The validated contents of *path*. Raises ParamsError with all faults, one a line."""
    raw = load_yaml(path)
    bases = {kind: {name: lookup(told, "extends") for name, told in entries(raw, kind)} for kind in EXTENDED}
    faults = [fault for kind in EXTENDED for fault in _extend(raw, kind)]
    try:
        params = Params.model_validate(_without_broken(raw, bases), strict=True)
    except ValidationError as error:
        faults += readable(error, Params, raw)
    faults += [*name_faults(raw), *_taken_names(raw), *_arm_faults(raw)]
    if faults:
        raise ParamsError(f"{path}: {fault}" for fault in _without_inherited(faults, bases))
    return params


def _extend(raw: dict[str, Any], kind: str) -> Iterator[str]:
    """Lay each entry of *kind* that `extends` another over it, in place; a key given null is taken away.

    One whose base is not there becomes empty, so that nothing but its base is found fault with.
    """
    found = dict(entries(raw, kind))
    for name, entry in found.items():
        base = lookup(entry, "extends")
        if base is None:
            continue
        raw[kind][name] = {}
        complete = lookup(raw, kind, base) if base != name else None
        if not isinstance(complete, dict) or not complete or "extends" in complete:
            where = f"{kind}.{name}.extends"
            yield f"{where}: {base} is no complete {kind[:-1]} above it{nearest(str(base), map(str, found))}"
            continue
        raw[kind][name] = _laid_over(complete, {key: value for key, value in entry.items() if key != "extends"})


def _laid_over(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _laid_over(merged[key], value) if both else value
    return {key: value for key, value in merged.items() if value is not None}


def _without_broken(raw: dict[str, Any], bases: Bases) -> dict[str, Any]:
    """*raw* without the entries that could not be extended."""
    return raw | {kind: _unbroken(raw[kind], bases[kind]) for kind in EXTENDED if isinstance(raw.get(kind), dict)}


def _unbroken(found: dict[str, Any], bases: Mapping[str, Any]) -> dict[str, Any]:
    return {name: told for name, told in found.items() if told or bases.get(name) is None}


def _without_inherited(faults: list[str], bases: Bases) -> Iterator[str]:
    """*faults* without those of an entry that its base, which is told too, has handed down."""
    for fault in faults:
        kind, _, told = fault.partition(".")
        name, _, rest = told.partition(".")
        base = bases.get(kind, {}).get(name)
        if base is None or base == name or f"{kind}.{base}.{rest}" not in faults:
            yield fault


def _taken_names(raw: dict[str, Any]) -> Iterator[str]:
    for name, _ in entries(raw, "arms"):
        if name in (START, *BASELINES):
            yield f"arms.{name}: tables have a row of that name already; allowed: another name"


def _arm_faults(raw: dict[str, Any]) -> Iterator[str]:
    """Settings of an arm that do not fit the model of a world it is used in."""
    for name, experiment in entries(raw, "experiments"):
        world = lookup(raw, "worlds", lookup(experiment, "world"))
        model = _valid(LanguageModel, lookup(raw, "language_models", lookup(world, "language_model")))
        encoder = _valid(VisionEncoder, lookup(raw, "vision_encoders", lookup(world, "vision_encoder")))
        if model is None or encoder is None:
            continue
        arms = {arm: _valid(Arm, lookup(raw, "arms", arm)) for arm in names_in(lookup(experiment, "arms"))}
        for arm, settings in arms.items():
            for fault in settings.faults(model.shape, encoder.shape) if settings else []:
                yield f"arms.{arm}.{fault} (in experiments.{name}, world {experiment['world']})"
            if settings and settings.method == "full" and model.quantise:
                yield f"arms.{arm}: full cannot train {model.quantise} weights; allowed: another method (in {name})"


def _valid(kind: Any, value: Any) -> Any:
    """*value* as *kind*, or None where it is none; what is wrong with it is told elsewhere."""
    try:
        return TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError:
        return None
