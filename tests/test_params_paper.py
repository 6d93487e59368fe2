"""An experiment names the printed table it stands beside; what the papers lack is refused with what they have."""

from __future__ import annotations

from pathlib import Path

import pytest

from steering.errors import ParamsError
from steering.params import Params, load
from steering.plan import Plan

TINY = (Path(__file__).resolve().parent / "tiny_params.yaml").read_text(encoding="utf-8")
TABLE6 = "{table: 6, model: 3b, arms: {edit: mores rank=1}, benchmarks: {shapes: iconqa_txt}}"


def loaded(folder: Path, paper: str | None, *, data: bool = True) -> Params:
    text = TINY.replace("    seeds: [0]\n", f"    seeds: [0]\n    paper: {paper}\n" if paper else "    seeds: [0]\n")
    text = text if data else text.replace("    data: mix\n", "")
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    return load(folder / "params.yaml")


def faults(folder: Path, paper: str, **settings: bool) -> list[str]:
    with pytest.raises(ParamsError) as caught:
        loaded(folder, paper, **settings)
    return [fault.split("params.yaml: experiments.table.paper", 1)[1] for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("table: 6", "table: 7"), [".table: 7 is unknown; allowed: 1, 2, 3, 4, 5, 6, 8, 9, MRT"]),
        (("table: 6", "table: A4"), [".table: A4 is unknown; allowed: 1, 2, 3, 4, 5, 6, 8, 9, MRT (did you mean 4?)"]),
        (("model: 3b", "model: 7b"), [".model: 7b is unknown; allowed: 3b"]),
        (("shapes: ic", "shape: ic"), [".benchmarks: shape is unknown; allowed: shapes (did you mean shapes?)"]),
        (("{edit: mores", "{edti: mores"), [".arms: edti is unknown; allowed: none, edit (did you mean edit?)"]),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(tmp_path, change, told):
    found = faults(tmp_path, TABLE6.replace(*change))
    assert [fault for fault in found if "nothing stands beside" not in fault] == told


def test_a_row_or_column_that_the_table_lacks_is_refused_with_those_it_has(tmp_path):
    (row,) = faults(tmp_path, TABLE6.replace("rank=1", "rank=3"))
    assert row.startswith(".arms.edit: mores rank=3 is unknown; allowed: mores rank=1, mores rank=2, mores rank=4")
    (column,) = faults(tmp_path, TABLE6.replace("iconqa_txt", "iconqa"))
    assert column.startswith(".benchmarks.shapes: iconqa is unknown; allowed: scienceqa_img, vizwiz, iconqa_txt")
    (average,) = faults(tmp_path, TABLE6.replace("iconqa_txt", "average"))
    assert average.startswith(".benchmarks.shapes: average is unknown")


def test_an_entry_that_shows_nothing_is_refused(tmp_path):
    told = faults(tmp_path, "{table: 6, model: 3b}")
    nothing = "nothing stands beside one of the paper's; allowed: any of"
    assert told[0].startswith(f".arms: {nothing} none, edit: mores rank=1, mores rank=2")
    assert told[1].startswith(f".benchmarks: {nothing} shapes: scienceqa_img, vizwiz")


def test_a_run_is_of_one_size_of_data_and_a_sized_experiment_may_be_of_many(tmp_path):
    sizes = "{table: 3, model: 3b, arms: {edit: [lora@1k, lora@5k]}, benchmarks: {shapes: iconqa}}"
    assert faults(tmp_path, sizes) == [".arms.edit: rows of several sizes of data, lora@1k, lora@5k; allowed: of one"]
    assert loaded(tmp_path, sizes, data=False).experiments["table"].paper


def test_a_column_has_one_benchmark_of_ours(tmp_path):
    both = TABLE6.replace("{shapes: iconqa_txt}", "{shapes: iconqa_txt, more: iconqa_txt}")
    more = "      more: {form: vqa, dataset: pictures, title: More}\n    pretrain:"
    (tmp_path / "params.yaml").write_text(
        TINY.replace("    seeds: [0]\n", f"    seeds: [0]\n    paper: {both}\n").replace("    pretrain:", more)
    )
    with pytest.raises(ParamsError, match="shapes and more stand beside iconqa_txt; allowed: one"):
        load(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    "value", ["3", "[]", "{table: 6}", "{table: [1], model: 3b}", "{table: 6, model: 3b, arms: 4}"]
)
def test_no_malformed_entry_ends_in_a_traceback(tmp_path, value):
    with pytest.raises(ParamsError):
        loaded(tmp_path, value)


@pytest.mark.parametrize("value", ["3", "[3]", "{a: b}", "[[a]]"])
def test_no_malformed_place_ends_in_a_traceback(tmp_path, value):
    with pytest.raises(ParamsError):
        loaded(tmp_path, TABLE6.replace("mores rank=1", value).replace("iconqa_txt", value))


def test_a_table_is_a_number_or_its_name(tmp_path):
    numbers = [loaded(tmp_path, TABLE6.replace("6", name)).experiments["table"].paper.table for name in ("6", "'6'")]
    assert numbers == ["6", "6"]


def test_a_slice_tells_of_the_paper_only_where_the_experiment_does(tmp_path):
    without, with_one = (Plan(loaded(tmp_path, paper)).report("table") for paper in (None, TABLE6))
    assert "paper" not in without | without["experiment"]
    told = with_one.pop("paper")
    assert with_one["experiment"].pop("paper")
    assert with_one == without
    assert told["rows"] == {"none": [], "edit": ["mores rank=1"]}
    assert told["columns"] == {"shapes": ["iconqa_txt"]}
    assert told["benchmarks"]["shapes"]["builder"] == "easy_vqa"
