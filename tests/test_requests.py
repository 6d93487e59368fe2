"""What jobs ask a scheduler for: within a rule and world the same; a run of several devices asks for itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from steering.params import load
from steering.plan import Plan
from steering.requests import LIBRARIES_MB, START_MINUTES, Requests

PARAMS = load(Path(__file__).resolve().parent.parent / "params.yaml")
PLAN = Plan(PARAMS)
RULES = ("connector", "tune", "predict_part", "predict", "attention")
WORLDS = ("embedded", "smoke", "3b")


@pytest.fixture(scope="module")
def requests() -> Requests:
    return Requests(PLAN)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("rule", RULES)
def test_all_that_share_an_array_ask_alike(requests, rule, world):
    alike = [arm for arm in PLAN.arms_of(world) if not requests.alone(world, arm)]
    assert len({requests.memory_mb(rule, world, arm) for arm in alike}) == 1
    assert len({requests.runtime_minutes(rule, world, arm) for arm in alike}) == 1


def test_a_run_on_several_devices_asks_for_itself(requests):
    alone = [arm for arm in PLAN.arms_of("3b") if requests.alone("3b", arm)]
    assert alone == ["full"]
    assert PLAN.devices("3b", "full")[0] > PLAN.devices("3b", "mores_b")[0]
    assert requests.memory_mb("tune", "3b", "full") > requests.memory_mb("tune", "3b", "mores_b")
    assert requests.runtime_minutes("tune", "3b", "full") != requests.runtime_minutes("tune", "3b", "mores_b")


def test_its_answers_share_an_array_again(requests):
    asked = {requests.memory_mb("predict", "3b", arm) for arm in ("full", "mores_b")}
    assert len(asked) == 1


def test_no_run_is_alone_where_all_take_one_process(requests):
    assert not any(requests.alone("embedded", arm) for arm in PLAN.arms_of("embedded"))


@pytest.mark.parametrize("world", WORLDS)
def test_more_is_asked_than_the_libraries_and_the_start_take(requests, world):
    libraries = LIBRARIES_MB["gpu" if PLAN.world(world).gpus else "cpu"]
    for rule in RULES:
        assert requests.memory_mb(rule, world, "mores_b") > libraries
        assert requests.runtime_minutes(rule, world, "mores_b") >= START_MINUTES


def test_a_part_of_the_questions_takes_less_time_than_all():
    world = PARAMS.worlds["3b"].model_copy(update={"predict_parts": 4})
    parted = Requests(Plan(PARAMS.model_copy(update={"worlds": PARAMS.worlds | {"3b": world}})))
    whole, part = (
        parted.runtime_minutes(rule, "3b", "mores_b") - START_MINUTES for rule in ("predict", "predict_part")
    )
    assert part == pytest.approx(whole / 4, abs=1)


def test_requests_do_not_follow_what_is_on_the_disk(requests, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Requests(PLAN).runtime_minutes("tune", "embedded", "none") == requests.runtime_minutes(
        "tune", "embedded", "none"
    )
