"""Reading params.yaml: worlds that extend others, every fault told at once, with what is allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from steering.arms import Arm
from steering.errors import ParamsError, nearest
from steering.faults import readable
from steering.params.judges import Judge
from steering.params.models import LanguageModel, Name, Part, Source, VisionEncoder
from steering.params.worlds import Experiment, World
from steering.references import entries, lookup, name_faults, names_in
from steering.yaml_strict import load_yaml


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
    bases = {name: lookup(world, "extends") for name, world in entries(raw, "worlds")}
    faults = list(_extend_worlds(raw))
    try:
        params = Params.model_validate(_without_broken(raw, bases), strict=True)
    except ValidationError as error:
        faults += readable(error, Params, raw)
    faults += [*name_faults(raw), *_arm_faults(raw)]
    if faults:
        raise ParamsError(f"{path}: {fault}" for fault in _without_inherited(faults, bases))
    return params


def _extend_worlds(raw: dict[str, Any]) -> Iterator[str]:
    """Lay each world that `extends` another over it, in place; a key given null is taken away.

    A world whose base is not there becomes empty, so that nothing but its base is found fault with.
    """
    worlds = dict(entries(raw, "worlds"))
    for name, world in worlds.items():
        base = lookup(world, "extends")
        if base is None:
            continue
        raw["worlds"][name] = {}
        complete = lookup(raw, "worlds", base) if base != name else None
        if not isinstance(complete, dict) or not complete or "extends" in complete:
            yield f"worlds.{name}.extends: {base} is no complete world above it{nearest(str(base), map(str, worlds))}"
            continue
        raw["worlds"][name] = _laid_over(complete, {key: value for key, value in world.items() if key != "extends"})


def _laid_over(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _laid_over(merged[key], value) if both else value
    return {key: value for key, value in merged.items() if value is not None}


def _without_broken(raw: dict[str, Any], bases: Mapping[str, Any]) -> dict[str, Any]:
    """*raw* without the worlds that could not be extended."""
    if not isinstance(raw.get("worlds"), dict):
        return raw
    kept = {name: world for name, world in raw["worlds"].items() if world or bases.get(name) is None}
    return raw | {"worlds": kept}


def _without_inherited(faults: list[str], bases: Mapping[str, Any]) -> Iterator[str]:
    """*faults* without those of a world that its base, which is told too, has handed down."""
    for fault in faults:
        name, _, rest = fault.removeprefix("worlds.").partition(".")
        handed_down = fault.startswith("worlds.") and f"worlds.{bases.get(name)}.{rest}" in faults
        if not handed_down or bases[name] == name:
            yield fault


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
