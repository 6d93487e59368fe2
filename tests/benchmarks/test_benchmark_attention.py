"""The benchmark of the attention measurement, at a tiny size: all ways tell the same, and what the record holds."""

from __future__ import annotations

import pytest
import torch

from benchmarks.attention import ANSWER, BASE, SIZES, WAYS, Load, eager, lmar, main, maps, rows_of
from steering.manifest import read_json

TINY = SIZES["tiny"]


@pytest.fixture(scope="module")
def load():
    return Load(TINY, dtype="float32", device=torch.device("cpu"), seed=0)


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    out = tmp_path_factory.mktemp("benchmark") / "attention.json"
    main(["--size=tiny", "--repeats=2", "--warmup=1", "--device=cpu", f"--out={out}"])
    return read_json(out)


def test_the_streamed_measurement_tells_what_whole_maps_tell(load):
    batch = load.batch()
    ours, theirs = lmar(load.model, batch), eager(load.model, batch)
    assert ours.keys() == theirs.keys()
    for name, mass in ours.items():
        torch.testing.assert_close(mass, theirs[name], rtol=0, atol=1e-5)
    assert load.model.language_model.config._attn_implementation == "sdpa"


def test_maps_are_of_layers_spread_over_the_depth(load):
    assert list(maps(load.model, load.batch())) == [1, 2]


def test_batches_have_the_length_asked_for(load):
    whole, half = load.batch(), load.batch(0.5)
    assert whole.input_ids.shape == (2, 160) and half.input_ids.shape == (2, 80)
    assert whole.marks.visual.sum(1).tolist() == [64, 64] and half.marks.visual.sum(1).tolist() == [32, 32]
    assert whole.marks.answer.sum(1).tolist() == half.marks.answer.sum(1).tolist() == [20, 20]
    assert SIZES["medium"].tokens == SIZES["3b"].tokens == 1000 and ANSWER <= 1000 // 8


def test_the_record_holds_every_way_with_ratios_peaks_and_growth(record):
    assert list(record["contenders"]) == list(WAYS)
    for row in record["contenders"].values():
        assert len(row["raw"]["seconds"]) == len(row["raw"]["peak_bytes_of_half_and_whole"]) == 2
        assert all(found["low"] <= found["value"] <= found["high"] for found in row["ratios"].values())
    assert record["contenders"][BASE]["ratios"]["memory"]["value"] == 1
    assert [(row["contender"], row["limit"]) for row in record["targets"]] == [("lmar", 1.25)]


def test_whole_maps_take_the_square_of_the_length_and_the_rows_do_not(record):
    ways = record["contenders"]
    assert ways["eager"]["growth"] > 3 > (ways["lmar"]["growth"] or 0)
    assert ways["lmar"]["bytes_above_forward"] < ways["eager"]["bytes_above_forward"]


def test_the_table_has_a_line_per_way(record):
    assert [row[0] for row in rows_of(record)] == ["way", *WAYS]
