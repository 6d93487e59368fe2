"""Arms against the control over all benchmarks together: the macro-average, its interval and what is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from steering.analyse.overall import over_start, overall, to_read
from steering.errors import DataError


def score(arm: str, seed: int, benchmark: str, correct: list[int]) -> dict[str, Any]:
    ids = [f"{benchmark}{i}" for i in range(len(correct))]
    outcomes = {"id": ids, "group": ids, "correct": correct}
    return {"run": f"{arm}/{seed}", "arm": arm, "seed": seed, "benchmark": benchmark, "outcomes": outcomes}


def test_every_benchmark_weighs_the_same() -> None:
    scores = [score("none", 0, "long", [0] * 40), score("none", 0, "short", [0] * 4)]
    scores += [score("edit", 0, "long", [0] * 40), score("edit", 0, "short", [1] * 4)]
    row = overall(scores, arms=["none", "edit"]).iloc[0]
    assert (row["arm"], row["difference"], row["n"], row["benchmarks"]) == ("edit", 50.0, 44, 2)


def test_seeds_are_averaged_and_widen_the_interval() -> None:
    scores = [score("none", seed, "only", [0, 1] * 50) for seed in (0, 1)]
    scores += [score("edit", 0, "only", [0, 1] * 50), score("edit", 1, "only", [1, 1] * 50)]
    row = overall(scores, arms=["edit"]).iloc[0]
    assert row["difference"] == pytest.approx(25)
    assert row["low"] == -100 and row["high"] == 100 and row["seeds"] == 2  # two seeds tell next to nothing
    more = scores + [score(arm, seed, "only", [0, 1] * 50) for arm in ("none", "edit") for seed in (2, 3, 4)]
    narrower = overall(more, arms=["edit"]).iloc[0]
    assert narrower["difference"] == pytest.approx(10)
    assert -25 < narrower["low"] < 0 < 30 < narrower["high"] < 45


def test_equal_arms_show_no_difference() -> None:
    scores = [score(arm, seed, "only", [0, 1, 1] * 20) for arm in ("none", "edit") for seed in (0, 1, 2)]
    row = overall(scores, arms=["edit"]).iloc[0]
    assert (row["difference"], row["low"], row["high"], row["p"]) == (0, 0, 0, 1)
    assert row["verdict"] == "no difference shown"


def test_a_clear_gain_is_higher_and_noise_is_not() -> None:
    random = np.random.default_rng(0)
    base = random.integers(0, 2, 300)
    scores = [score("none", 0, "only", base.tolist())]
    scores += [score("better", 0, "only", np.maximum(base, random.random(300) < 0.3).astype(int).tolist())]
    scores += [score("noise", 0, "only", random.permutation(base).tolist())]
    found = overall(scores, arms=["better", "noise"]).set_index("arm")["verdict"]
    assert found.to_dict() == {"better": "higher", "noise": "no difference shown"}


def test_one_seed_needs_more_than_a_handful_of_questions() -> None:
    scores = [score("none", 0, name, [0] * 6) for name in ("a", "b")]
    scores += [score("edit", 0, "a", [1] * 6), score("edit", 0, "b", [0] * 6)]
    for one in scores:
        one["outcomes"]["group"] = [f"{one['benchmark']} {i // 3}" for i in range(6)]  # two pictures a benchmark
    row = overall(scores, arms=["edit"]).iloc[0]
    assert row["difference"] == row["low"] == row["high"] == 50  # no resample of pictures is without the difference
    assert row["p"] > 0.4 and row["verdict"] not in ("higher", "lower")


def test_an_arm_that_lacks_a_benchmark_is_left_out() -> None:
    scores = [score("none", 0, name, [0, 1]) for name in ("a", "b")] + [score("edit", 0, "a", [1, 1])]
    assert overall(scores, arms=["none", "edit"]).empty


def test_all_arms_the_control_too_are_held_against_the_start_where_it_was_asked_the_same() -> None:
    scores = [score(arm, 0, name, [0, 1]) for arm in ("none", "edit") for name in ("asked", "not asked")]
    starts = [score("start", 0, "asked", [0, 0]), score("start", 0, "asked of the start alone", [1, 1])]
    found = over_start(scores, starts, arms=["none", "edit"])
    assert found["arm"].tolist() == ["none", "edit"]
    assert set(found["difference"]) == {50.0} and set(found["benchmarks"]) == {1}
    assert over_start(scores, [], arms=["none", "edit"]).empty


def test_other_questions_are_refused() -> None:
    other = score("edit", 0, "a", [0, 1])
    other["outcomes"]["id"] = ["x", "y"]
    with pytest.raises(DataError, match="other questions"):
        overall([score("none", 0, "a", [0, 1]), other], arms=["edit"])


def test_the_readable_table_names_the_control() -> None:
    scores = [score(arm, 0, "a", [0, 1]) for arm in ("base", "edit")]
    frame = to_read(overall(scores, arms=["edit"], control="base"), "base")
    assert list(frame.columns)[1] == "against base, mean over benchmarks"
    assert frame.iloc[0, 1] == "+0.0 [+0.0, +0.0]"
