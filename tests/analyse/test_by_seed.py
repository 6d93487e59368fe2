"""Single training runs beside the control's of the same seed: values by hand, what is missing, and the figure."""

from __future__ import annotations

import math
from typing import Any

import pytest

from steering.analyse.by_seed import by_seed, strip, to_read
from steering.analyse.overall import overall


def score(arm: str, seed: int, benchmark: str, correct: list[float]) -> dict[str, Any]:
    ids = [f"{benchmark}{i}" for i in range(len(correct))]
    outcomes = {"id": ids, "group": ids, "correct": correct}
    return {"run": f"{arm}/{seed}", "arm": arm, "seed": seed, "benchmark": benchmark, "outcomes": outcomes}


SCORES = [
    *(score("none", seed, "long", [1, 0, 0, 0]) for seed in (0, 1, 2)),
    *(score("none", seed, "short", [1, 0]) for seed in (0, 1)),
    *(score("edit", seed, name, [1] * 4 if seed else [0] * 4) for seed in (0, 1, 3) for name in ("long", "short")),
]
SCORES = [
    one | {"outcomes": {k: v[:2] for k, v in one["outcomes"].items()}} if one["benchmark"] == "short" else one
    for one in SCORES
]


def test_every_benchmark_weighs_the_same_and_the_control_is_that_of_the_seed() -> None:
    rows = {(row["arm"], row["seed"]): row for row in by_seed(SCORES, arms=["none", "edit"]).to_dict("records")}
    assert rows["none", 0]["value"] == pytest.approx(100 * (1 / 4 + 1 / 2) / 2)
    assert (rows["edit", 0]["value"], rows["edit", 1]["value"]) == (0, 100)
    assert rows["edit", 0]["difference"] == pytest.approx(-37.5)
    assert rows["edit", 1]["difference"] == pytest.approx(62.5)
    assert math.isnan(rows["none", 0]["difference"]) and math.isnan(rows["edit", 3]["difference"])


def test_a_seed_that_lacks_a_benchmark_is_left_out() -> None:
    found = by_seed(SCORES, arms=["none", "edit"])
    assert found[found["arm"] == "none"]["seed"].tolist() == [0, 1]


def test_the_mean_of_the_differences_is_the_difference_over_all() -> None:
    shared = [one for one in SCORES if one["seed"] in (0, 1)]
    single, together = by_seed(shared, arms=["none", "edit"]), overall(shared, arms=["edit"])
    assert single["difference"].mean() == pytest.approx(together["difference"].iloc[0])


def test_one_seed_has_no_table() -> None:
    alone = [one for one in SCORES if one["seed"] == 0]
    assert by_seed(alone, arms=["none", "edit"]).empty
    assert by_seed([], arms=["none"]).empty


def test_the_table_has_a_column_for_each_seed_and_says_how_far_seeds_lie_apart() -> None:
    shown = to_read(by_seed(SCORES, arms=["none", "edit"]), "none")
    assert [*shown.columns] == ["arm (against none)", "seed 0", "seed 1", "seed 3", "mean", "s.d. of seeds"]
    none, edit = shown.to_dict("records")
    assert (none["seed 0"], none["seed 3"], none["s.d. of seeds"]) == ("37.5", "", "0.0")
    assert (edit["seed 0"], edit["seed 1"], edit["seed 3"]) == ("0.0 (−37.5)", "100.0 (+62.5)", "100.0")
    assert edit["mean"] == "66.7 (+12.5)" and edit["s.d. of seeds"] == "57.7"


def test_the_figure_has_a_row_for_each_arm_that_there_is() -> None:
    chart = strip(by_seed(SCORES, arms=["none", "absent", "edit"]), ["none", "absent", "edit"]).to_dict()
    means, points = chart["layer"]
    assert (means["mark"]["type"], points["mark"]["type"]) == ("tick", "point")
    assert points["encoding"]["y"]["sort"] == ["none", "edit"]
    (rows,) = chart["datasets"].values()
    assert len(rows) == 5
