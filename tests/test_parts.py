"""The list of parts is what the registries hold, and the types of params.yaml allow exactly that."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from steering.arms import MoresSettings
from steering.families import FAMILIES
from steering.params import Dataset, EncoderKind, World, load
from steering.params.worlds import Benchmark, MethodName, Pretrain
from steering.parts import parts

PARAMS = load(Path(__file__).resolve().parent / "example.yaml")
LISTED = parts(PARAMS)


def names(kind: str) -> set[str]:
    return {row["name"] for row in LISTED[kind]}


def allowed(model: type, field: str) -> set[str]:
    return set(get_args(model.model_fields[field].annotation))  # type: ignore[attr-defined]


def test_params_allow_the_parts_there_are():
    assert names("language_families") == set(FAMILIES)
    assert names("vision_kinds") == set(get_args(EncoderKind))
    assert names("connectors") == allowed(World, "connector")
    assert names("methods") == set(get_args(MethodName))
    assert names("templates") >= allowed(World, "template") | allowed(Pretrain, "template")
    assert names("benchmark_forms") == allowed(Benchmark, "form")
    assert names("builders") == allowed(Dataset, "builder")


def test_named_models_and_encoders_are_those_of_params():
    assert LISTED["vision_encoders"] == [{"name": "eye", "kind": "efficientnet_lite0", "tokens": 4, "width": 16}]
    assert [row["name"] for row in LISTED["language_models"]] == ["lm"]


def test_methods_tell_their_settings_with_defaults():
    (mores,) = [row for row in LISTED["methods"] if row["name"] == "mores"]
    assert mores["settings"] == MoresSettings().model_dump(exclude={"method"})
    assert mores["about"].startswith("MoReS: ")


def test_connectors_tell_their_settings_with_defaults():
    settings = {row["name"]: row["settings"] for row in LISTED["connectors"]}
    assert settings["mlp2_gelu"] == {}
    assert settings["resampler"]["queries"] >= 1


def test_families_tell_the_models_they_are_known_for():
    assert all(row["models"] for row in LISTED["language_families"])
