"""A world may extend another, and its mixtures, features and pretraining fit each other."""

from __future__ import annotations

import pytest
import yaml

from tests.params_text import TINY

EXTENDED = "  big:\n    extends: small\n    tune: {steps: 50}\nlanguage_models:"


def test_a_world_extends_another_deeply(loaded):
    worlds = loaded(("language_models:", EXTENDED)).worlds
    assert worlds["big"].tune == worlds["small"].tune.model_copy(update={"steps": 50})
    assert worlds["big"].benchmarks == worlds["small"].benchmarks
    assert worlds["small"].tune.steps == 5


def test_a_null_takes_away_what_the_base_gives(loaded):
    taken = "  big:\n    extends: small\n    pretrain: {warm_start: null}\nlanguage_models:"
    worlds = loaded(("language_models:", taken)).worlds
    assert worlds["big"].pretrain.warm_start is None
    assert worlds["small"].pretrain.warm_start is not None


@pytest.mark.parametrize(
    ("base", "hint"), [("smal", " (did you mean small?)"), ("big", " (did you mean big?)"), ("[x]", "")]
)
def test_extending_what_is_no_world_above_is_the_only_fault(faults, base, hint):
    found = faults(("language_models:", EXTENDED.replace("extends: small", f"extends: {base}")))
    shown = str(yaml.safe_load(base))
    assert found == [f"worlds.big.extends: {shown} is no complete world above it{hint}"]


def test_worlds_that_extend_each_other_are_refused(faults):
    both = "  a: {extends: b}\n  b: {extends: a}\nlanguage_models:"
    assert [fault.split(" is ")[0] for fault in faults(("language_models:", both))] == [
        "worlds.a.extends: b",
        "worlds.b.extends: a",
    ]


def test_a_fault_of_a_base_is_told_once(faults):
    assert faults(("language_models:", EXTENDED), ("turns: 2", "turns: 0")) == [
        "worlds.small.mixtures.mix.turns: found 0; allowed: greater than or equal to 1"
    ]


@pytest.mark.parametrize(
    "mixture",
    ["{turns: 2}", "{conversations: pictures, turns: 2}", "{shares: {shapes: {questions: 2, per_picture: 1}}}"],
)
def test_a_mixture_is_of_shares_or_of_own_conversations(faults, mixture):
    told = TINY[TINY.index("    mixtures:") : TINY.index("    tune:")]
    (fault,) = faults((told, f"    mixtures: {{mix: {mixture}}}\n"))
    assert "allowed: conversations, the name of a data set, or shares with turns" in fault


def test_unknown_conversations_are_named(faults):
    told = TINY[TINY.index("    mixtures:") : TINY.index("    tune:")]
    assert faults((told, "    mixtures: {mix: {conversations: pictuers}}\n")) == [
        "worlds.small.mixtures.mix.conversations: pictuers is unknown; allowed: pictures (did you mean pictures?)"
    ]


def test_live_features_have_no_warm_start(faults):
    (fault,) = faults(("    connector:", "    features: live\n    connector:"))
    assert "features live with a warm_start" in fault


def test_pretraining_leaves_the_encoder_alone(faults):
    (fault,) = faults(("recipe: {steps: 1,", "recipe: {encoder_layers: 1, encoder_learning_rate: 1e-3, steps: 1,"))
    assert "stage 1 trains the connector alone" in fault
