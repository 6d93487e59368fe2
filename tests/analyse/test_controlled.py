"""What tries add up to: ratios of sums with intervals, over questions and seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from steering.analyse.controlled import MEASURES, contrast, summary


def line(number: int, success: float, *, kind: str = "text", tokens: int = 1, asked: int = 2, **facts: Any) -> dict:
    watched = {"asked": asked, "changed": asked * success, "right_before": asked, "right_after": asked * (1 - success)}
    told = {"id": str(number), "group": f"g{number}", "kind": kind, "tokens": tokens, "edited": tokens}
    told |= {
        "success": success,
        "decoy_hit": 0.0,
        "gain": 2.0 * success,
        "probability": success,
        "norm": 0.1,
        "steps": 3,
    }
    return told | {"same": dict(watched), "others": dict(watched)} | facts


def test_kinds_come_in_their_order_and_numbers_rise() -> None:
    lines = [line(0, 1, kind=kind, tokens=n) for kind, n in (("object", 4), ("object", 1), ("text", 2))]
    rows = summary([lines])
    assert [(row["kind"], row["tokens"], row["questions"]) for row in rows] == [
        ("object", 1, 1), ("object", 4, 1), ("text", 2, 1)
    ]  # fmt: skip


def test_the_value_is_the_mean_and_lies_within_its_interval() -> None:
    successes = [1, 0, 1, 1, 0, 1, 0, 1]
    row = summary([[line(n, said) for n, said in enumerate(successes)]])[0]
    assert row["success"]["value"] == np.mean(successes) and row["gain"]["value"] == 2 * np.mean(successes)
    for name in MEASURES:
        assert row[name]["low"] <= row[name]["value"] <= row[name]["high"]
    assert 0 <= row["success"]["low"] < row["success"]["high"] <= 1


def test_more_questions_make_a_narrower_interval() -> None:
    def width(count: int) -> float:
        told = summary([[line(n, n % 2) for n in range(count)]])[0]["success"]
        return told["high"] - told["low"]

    assert width(100) < width(10)


def test_equal_tries_have_an_interval_of_no_width() -> None:
    row = summary([[line(n, 1) for n in range(5)]])[0]
    assert row["success"] == {"value": 1, "low": 1, "high": 1}


def test_a_question_weighs_by_its_bystanders_and_one_without_any_does_not() -> None:
    row = summary([[line(0, 1, asked=3), line(1, 0, asked=1), line(2, 1, asked=0)]])[0]
    assert row["changed_same"]["value"] == 3 / 4
    assert row["accuracy_others"]["value"] == pytest.approx(row["right_after_others"]["value"] - 1)
    assert summary([[line(0, 1, asked=0)]])[0]["changed_same"] == {"value": None, "low": None, "high": None}


def test_a_question_without_a_decoy_does_not_count_for_it() -> None:
    row = summary([[line(0, 1, decoy_hit=None), line(1, 1, decoy_hit=1.0)]])[0]
    assert row["decoy_hit"]["value"] == 1


def test_seeds_are_averaged_over_the_questions_that_all_tried() -> None:
    row = summary([[line(0, 1), line(1, 1), line(2, 1)], [line(0, 0), line(1, 0)]])[0]
    assert (row["questions"], row["success"]["value"]) == (2, 0.5)
    assert row["success"]["low"] < 0.5 < row["success"]["high"]


def test_kinds_that_no_question_shares_are_undefined() -> None:
    rows = summary([[line(0, 1)], [line(1, 1)]])
    assert rows[0]["questions"] == 0 and rows[0]["success"]["value"] is None


def test_the_contrast_is_paired_by_question() -> None:
    kinds = {"object": [1, 1, 0, 1], "random": [0, 1, 0, 0]}
    lines = [line(n, said, kind=kind, tokens=2) for kind, own in kinds.items() for n, said in enumerate(own)]
    rows = contrast([[*lines, line(9, 1, kind="object", tokens=2), line(0, 1, kind="object", tokens=4)]])
    assert [(row["tokens"], row["questions"], row["success"]["value"]) for row in rows] == [(2, 4, 0.5)]
    assert rows[0]["success"]["low"] <= 0.5 <= rows[0]["success"]["high"] and rows[0]["gain"]["value"] == 1
    same = [line(n, n % 2, kind=kind) for kind in kinds for n in range(6)]
    assert contrast([same])[0]["success"] == {"value": 0, "low": 0, "high": 0}


def test_without_both_kinds_there_is_no_contrast() -> None:
    assert contrast([[line(0, 1), line(0, 1, kind="object")]]) == []
