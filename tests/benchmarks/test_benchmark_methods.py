"""The benchmark of the methods, at a tiny size: whose work is measured, what the record holds, what is printed."""

from __future__ import annotations

import pytest
import torch

from benchmarks.contenders import FLOOR, METHODS, SIZES, contenders, random_batch
from benchmarks.methods import main, rows_of, table, target_rows, verdict
from steering.analyse.statistics import Interval
from steering.arms import LanguageShape, VisionShape
from steering.manifest import read_json

CPU, TINY = torch.device("cpu"), SIZES["tiny"]
KINDS = {"step", "prefill", "decode", "memory"}


@pytest.fixture(scope="module")
def built():
    return contenders(list(METHODS), TINY, dtype="float32", device=CPU)


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    out = tmp_path_factory.mktemp("benchmark") / "methods.json"
    main(["--size=tiny", "--repeats=2", "--warmup=1", "--device=cpu", f"--out={out}", "--only", "mores_1", "lora_r128"])
    return read_json(out)


def test_the_floor_trains_nothing_and_still_has_a_gradient_to_compute(built):
    floor = built[FLOOR]
    assert floor.trainable == 0 and floor.optimiser is None
    floor.model(floor.batch)[0].backward()
    assert floor.batch.features.grad.norm() > 0
    floor.batch.features.grad = None


@pytest.mark.parametrize("name", METHODS)
def test_the_trainable_parameters_are_those_of_the_arm(built, name):
    shape = LanguageShape.of(built[FLOOR].model.language_model.config)
    assert built[name].trainable == METHODS[name].trainable(shape, VisionShape(tokens=TINY.visual, width=TINY.hidden))


@pytest.mark.parametrize("name", METHODS)
def test_a_step_moves_the_methods_own_parameters_and_leaves_no_gradient(built, name):
    contender = built[name]
    before = [parameter.detach().clone() for parameter in contender.own]
    contender.model.train()
    contender.step()
    moved = [not torch.equal(old, new) for old, new in zip(before, contender.own, strict=True)]
    assert any(moved) == bool(contender.own)
    assert all(parameter.grad is None for parameter in contender.model.parameters())
    assert contender.batch.features.grad is None


def test_all_but_full_share_the_frozen_weights(built):
    shared = {parameter.data_ptr() for parameter in built[FLOOR].model.parameters()}
    for name, contender in built.items():
        found = {parameter.data_ptr() for parameter in contender.model.parameters()}
        assert shared <= found if name != "full" else not shared & found, name
    assert not any(parameter.requires_grad for parameter in built[FLOOR].model.parameters())


def test_adam_keeps_two_numbers_for_each_parameter(built):
    contender = built["mores_1"]
    contender.step()
    counters = 4 * len(contender.own)
    assert contender.optimiser_bytes == 2 * 4 * contender.trainable + counters
    assert contender.extra_bytes == 4 * contender.trainable


def test_full_adds_no_parameters_to_the_model(built):
    assert built["full"].extra_bytes == 0


def test_decoding_again_starts_from_the_same_cache(built):
    contender = built["mores_1"]
    for _ in range(2):
        with contender.decoding(3) as work:
            assert contender._cache.get_seq_length() == TINY.tokens
            work()
            assert contender._cache.get_seq_length() == TINY.tokens + 3
    assert contender._cache.get_seq_length() == TINY.tokens


def test_the_batch_has_the_sizes_asked_for():
    batch = random_batch(TINY, dtype=torch.float32, seed=0)
    assert batch.input_ids.shape == (TINY.samples, TINY.tokens)
    assert batch.marks.visual.sum(1).tolist() == [TINY.visual] * TINY.samples
    assert batch.marks.answer.any(1).all() and batch.tokens == TINY.samples * TINY.tokens


@pytest.mark.parametrize("size", SIZES)
def test_every_size_leaves_room_for_an_answer(size):
    assert random_batch(SIZES[size], dtype=torch.float32, seed=0).marks.answer.any()


@pytest.mark.parametrize("name", METHODS)
def test_every_method_steps_and_decodes_in_bfloat16(name):
    contender = contenders([name], TINY, dtype="bfloat16", device=CPU)[name]
    contender.model.train()
    contender.step()
    with contender.decoding(1) as work:
        work()


def test_the_record_holds_circumstances_raw_rounds_and_ratios(record):
    assert record.keys() == {"date", "commit", "versions", "machine", "settings", "contenders", "targets"}
    assert list(record["contenders"]) == [FLOOR, "mores_1", "lora_r128"]
    for row in record["contenders"].values():
        assert row["raw"].keys() == row["ratios"].keys() == KINDS
        assert {kind: len(values) for kind, values in row["raw"].items()} == {
            "step": 2,
            "prefill": 4,
            "decode": 8,
            "memory": 1,
        }
        assert all(found["low"] <= found["value"] <= found["high"] for found in row["ratios"].values())


def test_the_floor_is_one_of_itself(record):
    assert {found["value"] for found in record["contenders"][FLOOR]["ratios"].values()} == {1.0}


def test_peaks_are_exact_so_a_second_run_finds_the_same(record, tmp_path):
    out = tmp_path / "again.json"
    main(["--size=tiny", "--repeats=1", "--warmup=1", "--device=cpu", f"--out={out}", "--only", "mores_1"])
    again = read_json(out)["contenders"]["mores_1"]
    assert again["raw"]["memory"] == record["contenders"]["mores_1"]["raw"]["memory"]


def test_what_lora_keeps_is_above_what_mores_keeps(record):
    mores, lora = (record["contenders"][name]["ratios"]["memory"]["value"] for name in ("mores_1", "lora_r128"))
    assert 1 < mores < lora


def test_targets_are_judged_where_both_ran(record):
    assert {(row["kind"], row["contender"], row["base"]) for row in record["targets"]} == {
        ("step", "mores_1", FLOOR),
        ("step", "mores_1", "lora_r128"),
        ("memory", "mores_1", FLOOR),
        ("prefill", "mores_1", FLOOR),
        ("decode", "mores_1", FLOOR),
    }


@pytest.mark.parametrize(
    ("interval", "told"), [((1.0, 1.02), "met"), ((1.02, 1.05), "unclear"), ((1.04, 1.05), "missed")]
)
def test_a_target_is_judged_by_the_interval(interval, told):
    low, high = interval
    assert verdict(Interval((low + high) / 2, low, high), 1.03) == told


def test_the_table_has_a_line_per_contender_in_both_forms(record):
    plain, markdown = (table(rows_of(record), markdown=form).splitlines() for form in (False, True))
    assert len(plain) == 4 and plain[2].startswith("mores_1")
    assert len(markdown) == 5 and all(line.startswith("| ") and line.endswith(" |") for line in markdown)
    assert len({line.count("|") for line in markdown}) == 1
    assert len(table(target_rows(record)).splitlines()) == 6


@pytest.mark.parametrize("arguments", [["--only", "moers_1"], ["--repeats", "0"], ["--size", "huge"]])
def test_unknown_names_and_sizes_are_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert "argument --" in capsys.readouterr().err
