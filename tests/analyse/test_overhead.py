"""What an arm's answers cost: forced lengths, turns that are alike, and ratios that come out as they were made up."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from steering.analyse.overhead import (
    AGAIN,
    BARE,
    MEASURES,
    Asked,
    answered,
    compared,
    contenders,
    measure,
    record,
    spread,
    turn,
)
from steering.arms import LoraSettings, MoresSettings
from steering.data.collate import Sample, collate
from steering.data.templates import Turn
from steering.evaluate.generate import answer

LENGTHS = (1, 4, 7)


def asked(lengths: tuple[int, ...] = LENGTHS) -> list[Asked]:
    """Questions about pictures of four visual tokens, the first of them the longest to read."""
    generator = torch.Generator().manual_seed(0)
    pictures = [torch.randn(4, 8, generator=generator) for _ in lengths]
    questions = [tuple(range(20, 30 - number)) for number in range(len(lengths))]
    return [
        Asked(collate([Sample((5, 6), (Turn(question),), picture)]), length)
        for question, picture, length in zip(questions, pictures, lengths, strict=True)
    ]


class Counted:
    """A model whose passes are counted, and a clock that tells them: a pass takes 1, a decoded token 0.01."""

    def __init__(self, model: Any):
        self.model, self.passes = model, []
        read, decode = model.hidden, model.decode
        model.hidden = lambda *given, **options: self._count(read, 1.0, given, options)
        model.decode = lambda *given, **options: self._count(decode, 0.01, given, options)

    def _count(self, work, cost: float, given: Any, options: Any) -> Any:
        self.passes.append(cost)
        return work(*given, **options)

    def clock(self, work, device) -> float:
        before = len(self.passes)
        work()
        return sum(self.passes[before:])


@pytest.fixture
def model(make_model) -> Any:
    return make_model(MoresSettings()).eval()


@pytest.mark.parametrize("length", LENGTHS)
def test_an_answer_has_the_length_that_is_forced(model, length):
    (one,) = asked((length,))
    assert len(answered(model, one)) == length


def test_a_token_that_would_end_the_answer_does_not(model):
    (one,) = asked((6,))
    said = answered(model, one)
    cut = answer(model, one.batch, max_new_tokens=6, closing=said[0])
    assert cut == [[[]]]
    assert len(said) == 6


@pytest.mark.parametrize("arm", [None, MoresSettings(), LoraSettings(rank=2, alpha=4)])
def test_every_arm_reads_and_decodes_alike(make_model, arm):
    counted = Counted(make_model(arm).eval())
    told = turn(counted.model, asked(), tokens=5, clock=counted.clock)
    assert told["prefill"] == 1
    assert told["answer"] == pytest.approx(1 + 0.01 * (0 + 3 + 6) / 3)
    assert told["decode"] == pytest.approx(0.01)


def test_a_turn_begins_with_an_answer_that_no_clock_sees(model):
    counted, seen = Counted(model), []
    turn(counted.model, asked(), tokens=5, clock=lambda work, device: seen.append(counted.clock(work, device)) or 1.0)
    assert len(seen) == 3 + 3 + 1
    # before the clock: the longest question's answer, one token; behind it: its reading, before what is decoded
    assert sum(counted.passes) - sum(seen) == pytest.approx(2)


def test_the_tokens_behind_a_question_are_those_of_its_answer(model):
    (one,) = asked((6,))
    fed: list[int] = []
    decode = model.decode
    model.decode = lambda ids, positions, **seen: (fed.append(int(ids)), decode(ids, positions, **seen))[1]
    said = answered(model, one)
    first, fed[:] = list(fed), []
    turn(model, [one], tokens=5, clock=lambda work, device: (work(), 1.0)[1])
    assert fed[-5:] == first == said[:5]


def test_arms_take_turns_in_each_round_and_are_opened_for_them(model):
    opened: list[str] = []
    openings = {name: lambda name=name: (opened.append(name), model)[1] for name in ("a", "b", "c")}
    raw = measure(openings, asked((1,)), tokens=1, rounds=3, warmup=3, clock=lambda work, device: 1.0)
    rounds = [opened[start : start + 3] for start in range(0, 18, 3)]
    assert all(sorted(one) == ["a", "b", "c"] for one in rounds)
    assert all(sorted(places) == ["a", "b", "c"] for places in zip(*rounds[3:], strict=True))
    assert {name: {kind: len(told) for kind, told in own.items()} for name, own in raw.items()} == dict.fromkeys(
        ("a", "b", "c"), dict.fromkeys(MEASURES, 3)
    )


def made_up(rounds: int, **factors: float) -> dict[str, dict[str, list[float]]]:
    """Timings of contenders by *factors* over the bare model's 2 s, on a machine that slows down and speeds up."""
    chance = random.Random(0)
    drift = [2 * chance.lognormvariate(0, 0.4) for _ in range(rounds)]
    return {
        name: {kind: [factor * slow * chance.lognormvariate(0, 0.02) for slow in drift] for kind in MEASURES}
        for name, factor in {BARE: 1.0, AGAIN: 1.0, **factors}.items()
    }


def test_the_bare_model_is_its_own_equal_on_an_unsteady_machine():
    told = compared(made_up(60))[AGAIN]["ratio"]["answer"]
    assert told["low"] <= 1 <= told["high"]
    assert told["value"] == pytest.approx(1, abs=0.02)


def test_what_takes_longer_takes_longer_by_as_much():
    told = compared(made_up(60, slow=1.5))["slow"]
    for kind in MEASURES:
        assert told["ratio"][kind]["value"] == pytest.approx(1.5, abs=0.03)
        assert told["ratio"][kind]["low"] > 1.4
        assert told["more"][kind]["low"] < 1.0 < told["more"][kind]["high"]  # half of about 2 s


def test_a_spread_is_of_the_middle_half():
    assert spread([1.0, 2.0, 3.0, 4.0, 100.0]) == pytest.approx(2 / 3)


def run(arm: str, method: str) -> dict[str, Any]:
    return {"world": "w", "data": "d", "arm": arm, "seed": 0, "settings": {"method": method}}


RUNS = [run("none", "none"), run("mores_b", "mores"), run("low", "lora"), run("whole", "full")]


def test_what_can_be_merged_is_timed_both_ways_and_the_bare_model_is_no_contender():
    assert [(one.name, one.merged) for one in contenders(RUNS)] == [
        ("mores_b", False),
        ("low", False),
        ("low, merged", True),
        ("whole", False),
    ]
    assert [one.name for one in contenders(RUNS, merging=False)] == ["mores_b", "low", "whole"]


def test_a_record_keeps_every_round_and_who_is_who():
    timed = contenders(RUNS[:3])
    raw = made_up(5, **{one.name: 1.0 for one in timed})
    told = record(raw, timed, asked())
    assert (told["questions"], told["visual_tokens"], told["answer_tokens"]) == (3, 4, 4)
    assert told["positions"] == 2 + 4 + 9
    assert [(row["name"], row["arm"], row["method"], row["merged"]) for row in told["contenders"]] == [
        ("mores_b", "mores_b", "mores", False),
        ("low", "low", "lora", False),
        ("low, merged", "low", "lora", True),
    ]
    assert told["bare"]["raw"] == raw[BARE] and "ratio" not in told["bare"]
    assert told["again"]["raw"] == raw[AGAIN] and told["again"]["ratio"].keys() == set(MEASURES)
