"""A new method's way into PEFT: its name joins the PeftType enum, then PEFT's own register_peft_method does the rest.

PEFT's extension point refuses a name that PeftType lacks and offers no way to add one, so the member is built
here, as the enum machinery would have built it. This is the only place that reaches into PEFT's internals; it
refuses versions it was not tested with.
"""

from __future__ import annotations

import peft
import torch
from packaging.version import Version
from peft import PeftConfig, PeftModel, get_peft_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
from peft.utils import register_peft_method
from peft.utils.peft_types import PeftType
from torch import nn

from steering.errors import SteeringError

TESTED = (Version("0.21"), Version("0.22"))


def check_version(found: str = peft.__version__) -> None:
    """Raises SteeringError for a PEFT that the shim below was not tested with."""
    if not TESTED[0] <= Version(found) < TESTED[1]:
        raise SteeringError(f"peft: version {found}; allowed >= {TESTED[0]} and < {TESTED[1]}")


def add_peft_type(name: str) -> PeftType:
    """The member PeftType.<NAME>, made on first use; by value, by name and in iteration it is like the others."""
    value = name.upper()
    if value in PeftType.__members__:
        return PeftType[value]
    check_version()
    member = str.__new__(PeftType, value)
    member._name_, member._value_ = value, value
    setattr(PeftType, value, member)  # before the maps: the enum refuses to reassign a member it knows
    PeftType._member_names_.append(value)
    PeftType._member_map_[value] = member
    PeftType._value2member_map_[value] = member
    return member


def register_method(name: str, *, config_cls: type, model_cls: type, prefix: str) -> PeftType:
    """Registers a method with PEFT under *name*, so that get_peft_model and from_pretrained know it; twice is once.

    Raises SteeringError where another class already holds the name.
    """
    member = add_peft_type(name)
    registered = PEFT_TYPE_TO_CONFIG_MAPPING.get(member), PEFT_TYPE_TO_TUNER_MAPPING.get(member)
    if registered == (config_cls, model_cls):
        return member
    if registered != (None, None):
        raise SteeringError(f"peft: {name} is already registered by {registered[0]}; allowed one class per name")
    register_peft_method(name=name, config_cls=config_cls, model_cls=model_cls, prefix=prefix)
    return member


def seeded_peft_model(language_model: nn.Module, config: PeftConfig, *, seed: int) -> PeftModel:
    """get_peft_model with starting values that follow from *seed* alone; torch's own generator is left as it was.

    PEFT draws starting values on the CPU, so they are the same on every device.
    """
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        return get_peft_model(language_model, config)
    finally:
        torch.set_rng_state(before)
