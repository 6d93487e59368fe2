"""The way of a new method into PEFT."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from peft import LoraConfig, PeftType
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from peft.utils.peft_types import TaskType

from steering.errors import SteeringError
from steering.methods import AdapterConfig, LoReFTConfig, MoReSConfig, MRTConfig
from steering.methods.mores import MoReSModel
from steering.methods.peft_registry import add_peft_type, check_version, register_method


def test_a_new_type_is_like_the_others() -> None:
    member = add_peft_type("mores")
    assert member is PeftType("MORES") is PeftType["MORES"] is getattr(PeftType, "MORES")  # noqa: B009
    assert member in list(PeftType) and member == "MORES" and isinstance(member, PeftType)
    assert member.name == member.value == "MORES" and hash(member) == hash("MORES")
    assert json.dumps(member) == '"MORES"' and repr(member) == "<PeftType.MORES: 'MORES'>"
    assert pickle.loads(pickle.dumps(member)) is member and copy.deepcopy(member) is member


def test_adding_a_type_twice_is_once() -> None:
    before = list(PeftType)
    assert add_peft_type("mores") is add_peft_type("mores")
    assert add_peft_type("lora") is PeftType.LORA
    assert list(PeftType) == before and len(set(before)) == len(before)


def test_other_enums_and_types_are_untouched() -> None:
    assert "MORES" not in TaskType.__members__
    assert PEFT_TYPE_TO_CONFIG_MAPPING[PeftType.LORA] is LoraConfig


def test_peft_finds_the_configs_by_name() -> None:
    configs = {"MORES": MoReSConfig, "MRT": MRTConfig, "LOREFT": LoReFTConfig, "ADAPTER": AdapterConfig}
    assert {name: PEFT_TYPE_TO_CONFIG_MAPPING[name] for name in configs} == configs  # type: ignore[index]


def test_registering_again_is_harmless_but_a_name_has_one_owner() -> None:
    register_method("mores", config_cls=MoReSConfig, model_cls=MoReSModel, prefix="steering_")
    with pytest.raises(SteeringError, match="lora is already registered"):
        register_method("lora", config_cls=MoReSConfig, model_cls=MoReSModel, prefix="steering_")


@pytest.mark.parametrize("version", ["0.20.1", "0.22.0", "1.0"])
def test_an_untested_peft_is_refused(version: str) -> None:
    with pytest.raises(SteeringError, match=f"peft: version {version}; allowed >= 0.21 and < 0.22"):
        check_version(version)


def test_the_installed_peft_is_a_tested_one() -> None:
    check_version()
