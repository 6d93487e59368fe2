"""Scores become tables without anything being made up, and differences are only claimed where they are shown."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from invented import SEEDS

from steering.analyse import tables
from steering.errors import DataError
from steering.evaluate.benchmarks.mme import PERCEPTION

Scores = list[dict[str, Any]]


@pytest.fixture(scope="module")
def table(scores: Scores, manifests: list[dict[str, Any]]) -> pd.DataFrame:
    return tables.collect(scores, manifests=manifests, experiment="first_light")


def one(table: pd.DataFrame, **wanted: Any) -> pd.Series:
    for name, value in wanted.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_the_long_table_has_the_agreed_columns_and_one_row_per_key(table: pd.DataFrame) -> None:
    names = "world experiment arm seed benchmark metric value low high n trainable_llm trainable_all"
    assert list(table.columns) == names.split()
    assert not table.duplicated(["arm", "benchmark", "metric", "seed"]).any()


def test_seed_all_is_the_mean_over_seeds_inside_its_interval(table: pd.DataFrame) -> None:
    key = {"arm": "lora", "benchmark": "icons-pope", "metric": "accuracy"}
    seeds = [one(table, seed=seed, **key).value for seed in SEEDS]
    mean = one(table, seed="all", **key)
    assert mean.value == pytest.approx(np.mean(seeds))
    assert mean.low < mean.value < mean.high


def test_metrics_that_are_no_means_are_averaged_over_seeds_too(table: pd.DataFrame) -> None:
    key = {"arm": "lora", "benchmark": "icons-pope", "metric": "f1"}
    seeds = [one(table, seed=seed, **key).value for seed in SEEDS]
    assert one(table, seed="all", **key).value == pytest.approx(np.mean(seeds))


def test_one_seed_keeps_its_own_interval(scores: Scores) -> None:
    single = [score for score in scores if score["seed"] == 0 and score["arm"] == "lora"]
    table = tables.collect(single)
    key = {"benchmark": "icons-iconqa", "metric": "accuracy", "arm": "lora"}
    columns = ["value", "low", "high"]
    assert list(one(table, seed=0, **key)[columns]) == list(one(table, seed="all", **key)[columns])


def test_guessers_stand_as_arms_that_train_nothing(table: pd.DataFrame) -> None:
    blind = one(table, arm="blind", benchmark="icons-pope", metric="accuracy")
    assert (blind.seed, blind.trainable_llm, blind.trainable_all) == ("all", 0, 0)


def test_parameters_come_from_the_manifests_and_are_unknown_without_them(scores: Scores, table: pd.DataFrame) -> None:
    assert set(table[table["arm"] == "mores_b"]["trainable_llm"]) == {34_590}
    bare = tables.collect(scores[:2])
    assert bare[bare["arm"] == "none"]["trainable_llm"].isna().all()


def test_undefined_metrics_stay_undefined(scores: Scores) -> None:
    score = copy.deepcopy(scores[0])
    score["metrics"]["precision"] = {"value": None, "low": None, "high": None}
    row = one(tables.collect([score]), metric="precision", arm="none", seed=0)
    assert math.isnan(row.value) and math.isnan(row.low)


def test_seeds_that_answered_other_questions_are_refused(scores: Scores) -> None:
    other = copy.deepcopy(scores[1])
    other["outcomes"]["id"][0] = "another question"
    with pytest.raises(DataError, match=r"seed1.*other questions than .*seed0"):
        tables.collect([scores[0], other])


def test_a_clear_difference_is_claimed_and_an_unclear_one_is_not(scores: Scores) -> None:
    found = tables.differences(scores)
    assert list(found["arm"].unique()) == ["mores_b", "lora"]
    assert one(found, arm="lora", benchmark="icons-pope").verdict == "higher"
    holds_zero = (found["low"] <= 0) & (found["high"] >= 0)
    assert (found[holds_zero]["verdict"] == tables.NO_DIFFERENCE).all()
    assert (found["p_holm"] >= found["p"]).all()


def test_differences_are_in_percentage_points(scores: Scores, table: pd.DataFrame) -> None:
    key = {"benchmark": "icons-iconqa", "metric": "accuracy", "seed": "all"}
    gap = one(table, arm="lora", **key).value - one(table, arm="none", **key).value
    found = one(tables.differences(scores), arm="lora", benchmark="icons-iconqa")
    assert found.difference == pytest.approx(100 * gap)
    assert found.seeds == len(SEEDS)


def test_an_arm_equal_to_the_control_shows_no_difference(scores: Scores) -> None:
    twin = [{**score, "arm": "twin"} for score in scores if score["arm"] == "none"]
    found = tables.differences([score for score in scores if score["arm"] == "none"] + twin)
    assert (found["difference"] == 0).all()
    assert (found["verdict"] == tables.NO_DIFFERENCE).all()


def test_without_the_control_nothing_is_compared(scores: Scores) -> None:
    assert tables.differences([score for score in scores if score["arm"] != "none"]).empty
    assert tables.differences([]).empty


def test_seeds_that_only_one_of_two_arms_has_are_not_paired(scores: Scores) -> None:
    kept = [score for score in scores if score["arm"] != "lora" or score["seed"] == 1]
    assert set(tables.differences(kept).set_index("arm")["seeds"].loc["lora"]) == {1}


@pytest.mark.parametrize(
    ("low", "high", "p_holm", "said"),
    [
        (-1, 1, 0.001, "no difference shown"),
        (0, 1, 0.001, "no difference shown"),
        (1, 2, 0.01, "higher"),
        (-2, -1, 0.01, "lower"),
        (1, 2, 0.2, "unclear: does not survive the correction for many comparisons"),
        (math.nan, math.nan, math.nan, "no difference shown"),
    ],
)
def test_the_verdict_needs_interval_and_correction(low: float, high: float, p_holm: float, said: str) -> None:
    assert tables.verdict(low, high, p_holm) == said


def test_an_arm_that_lacks_a_benchmark_has_no_mean(scores: Scores, manifests: list[dict[str, Any]]) -> None:
    kept = [score for score in scores if (score["arm"], score["benchmark"]) != ("lora", "icons-pope")]
    assert set(tables.means(kept, manifests=manifests)["arm"]) == {"none", "mores_b"}


def test_the_mean_is_the_mean_of_the_main_metrics(scores: Scores, table: pd.DataFrame) -> None:
    rows = table[(table["arm"] == "mores_b") & (table["seed"] == "all") & (table["metric"] == "accuracy")]
    found = one(tables.means(scores), arm="mores_b")
    assert found.value == pytest.approx(rows["value"].mean())
    assert found.low < found.value < found.high


def test_missing_cells_say_not_run_or_failed(scores: Scores) -> None:
    table = tables.collect([score for score in scores if score["arm"] == "none"])
    metrics = {"icons-pope": "accuracy", "unknown": ""}
    rows = tables.rows_to_read(table, metrics, arms=["none", "lora", "mores_b"], failed=["lora"])
    cells = {row.arm: [str(cell) for cell in row.cells.values()] for row in rows}
    assert cells["lora"] == ["failed", "failed"]
    assert cells["mores_b"] == ["not run", "not run"]
    assert cells["none"][1] == "not run"


def test_the_best_arm_is_marked_but_never_a_guesser(table: pd.DataFrame, scores: Scores) -> None:
    metrics = tables.main_metrics(scores)
    rows = tables.rows_to_read(table, metrics, arms=["none", "mores_b", "lora"])
    best = {name: [row.arm for row in rows if row.cells[name].best] for name in metrics}
    assert best["icons-pope"] == ["lora"]
    assert all(arms and "blind" not in arms for arms in best.values())


def summed(score: dict[str, Any], tasks: tuple[str, ...] = PERCEPTION) -> dict[str, Any]:
    """A score of MME's perception over the questions of *score*, three quarters of them right."""
    n = len(score["outcomes"]["id"]) // (2 * len(tasks)) * 2 * len(tasks)
    outcomes = {
        "id": [str(at) for at in range(n)],
        "group": [str(at // 2) for at in range(n)],
        "correct": [float(at % 4 != 1) for at in range(n)],
        "parsed": [1.0] * n,
        "task": [float(at // 2 % len(tasks)) for at in range(n)],
        "pair": [float(at // 2) for at in range(n)],
    }
    metrics = {"perception": {"value": 1.0, "low": 1.0, "high": 1.0}}
    about = {"benchmark": "mme", "form": "mme", "metric": "perception", "metrics": metrics, "baselines": {}}
    return {**score, **about, "n": n, "outcomes": outcomes}


def test_a_sum_of_points_counts_in_a_mean_as_a_share_of_the_most_it_can_be(scores: Scores) -> None:
    plain = [score for score in scores if score["benchmark"] == "icons-pope" and score["seed"] == 0]
    both = [*plain, *(summed(score) for score in plain)]
    assert tables.tops(both) == {"icons-pope": 1.0, "mme": 20.0}
    alone = tables.means([summed(plain[0])]).iloc[0].value
    assert 0 < alone < 1
    for arm in {score["arm"] for score in plain}:
        pope = one(tables.means(plain), arm=arm).value
        assert one(tables.means(both), arm=arm).value == pytest.approx((pope + alone) / 2)


def test_rows_in_shares_divide_value_and_interval_by_the_most() -> None:
    rows = pd.DataFrame({"benchmark": ["mme", "pope"], "value": [15.0, 0.5], "low": [10.0, 0.4], "high": [20.0, 0.6]})
    found = tables.in_shares(rows, {"mme": 20.0, "pope": 1.0})
    assert found[["value", "low", "high"]].to_numpy().tolist() == [[0.75, 0.5, 1.0], [0.5, 0.4, 0.6]]
