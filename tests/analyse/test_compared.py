"""What DVC compares: scores and differences by arm, and curves with a column per arm."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from steering.analyse import compared
from steering.analyse.tables import Cell, Row

CURVES = [("none", 0, 1, 4.0), ("none", 1, 1, 2.0), ("none", 0, 2, 1.0), ("none", 1, 2, 1.0), ("edit", 0, 1, 1.0)]


@pytest.fixture
def drawn() -> Any:
    rows = [
        Row("none", 0, 1, {"shapes": Cell(0.25, 0.2, 0.3), "words": Cell(state="not run")}),
        Row("edit", 3, 4, {"shapes": Cell(0.5, 0.4, 0.6), "words": Cell(0.125)}),
    ]
    together = pd.DataFrame([{"arm": "edit", "difference": 25.0, "low": 20.0, "high": 30.0, "p_holm": 0.01, "n": 9}])
    lmar = pd.DataFrame(
        [
            {"arm": "none", "layer": 1, "value": 0.5, "variant": "first"},
            {"arm": "edit", "layer": 1, "value": 1.5, "variant": "first"},
            {"arm": "none", "layer": 1, "value": 9.0, "variant": "second"},
        ]
    )
    curves = pd.DataFrame(CURVES, columns=["arm", "seed", "step", "loss"])
    gained = together.assign(difference=-1.0)
    return SimpleNamespace(rows=rows, overall=together, over_start=gained, curves=curves, lmar=lmar)


def test_scores_are_told_in_per_cent_and_the_difference_beside_them(drawn):
    told = compared.metrics(drawn)
    assert told["edit"]["shapes"] == {"score": 50.0, "low": 40.0, "high": 60.0}
    assert told["edit"]["against_control"] == {"difference": 25.0, "low": 20.0, "high": 30.0, "p_holm": 0.01}
    assert told["edit"]["against_start"] == told["edit"]["against_control"] | {"difference": -1.0}


def test_what_is_not_known_is_not_there(drawn):
    told = compared.metrics(drawn)
    assert told["none"].keys() == {"shapes"}
    assert told["edit"]["words"] == {"score": 12.5}


def test_a_curve_has_a_column_per_arm_and_the_mean_over_arms_first(drawn, tmp_path):
    compared.write(drawn, tmp_path)
    losses = pd.read_csv(tmp_path / "losses.csv", index_col="step")
    assert list(losses.columns) == ["loss", "none", "edit"]
    assert losses["none"].tolist() == [3.0, 1.0]
    assert losses["loss"].tolist() == [2.0, 1.0]


def test_lmar_is_the_first_variant_s(drawn, tmp_path):
    compared.write(drawn, tmp_path)
    assert (tmp_path / "lmar.csv").read_text() == "layer,lmar,none,edit\n1,1.0,0.5,1.5\n"


def test_an_experiment_without_curves_has_empty_ones(drawn, tmp_path):
    drawn.curves, drawn.lmar = drawn.curves[:0], drawn.lmar[:0]
    compared.write(drawn, tmp_path)
    assert (tmp_path / "losses.csv").read_text().splitlines() == ["step,loss"]
    assert (tmp_path / "lmar.csv").read_text().splitlines() == ["layer,lmar"]


def test_the_file_is_strict_json(drawn, tmp_path):
    compared.write(drawn, tmp_path)
    assert json.loads((tmp_path / "metrics.json").read_text(), parse_constant=pytest.fail) == compared.metrics(drawn)
