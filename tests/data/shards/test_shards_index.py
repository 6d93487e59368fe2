"""The index finds each name's row among all, in the order of bytes and of writing, and refuses a broken file."""

from __future__ import annotations

import random

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from steering.data.shards.index import INDEX, STRIDE, Entry, Index, Row, write_index
from steering.errors import DataError

NAMES = st.lists(st.text(st.characters(exclude_categories=["Cs"])), unique=True, max_size=40)
NO_LOOK = (None, None, None)


def row(number: int) -> Row:
    return Row(Entry(number % 7, 512 * number, number, f"{number:016x}"), ("PNG", number, 2 * number))


def written(folder, names) -> Index:
    write_index(folder / INDEX, names, [row(number) for number in range(len(names))])
    return Index(folder / INDEX)


@settings(max_examples=50, deadline=None)
@given(names=NAMES, absent=st.text(st.characters(exclude_categories=["Cs"])))
def test_every_name_has_its_own_row_and_no_other_has_any(tmp_path_factory, names, absent):
    index = written(tmp_path_factory.mktemp("index"), names)
    assert index.names() == index.distinct() == names
    assert [index[name] for name in names] == [row(number).entry for number in range(len(names))]
    assert (absent in index) == (absent in names)


def test_a_hundred_thousand_names_are_found(tmp_path):
    names = [f"coco/train2017/{number:012d}.jpg" for number in range(100_000)]
    random.Random(0).shuffle(names)
    index = written(tmp_path, names)
    for number in range(0, len(names), 997):
        assert index[names[number]] == row(number).entry
    assert index.names() == names


def test_the_order_of_the_rows_is_that_of_the_names_bytes(tmp_path):
    names = ["b", "\U00010000", "a", "\uffff", "ü"]
    written(tmp_path, names)
    table = parquet.read_table(tmp_path / INDEX)
    assert table["name"].to_pylist() == sorted(names, key=str.encode)
    assert table["position"].to_pylist() == [names.index(name) for name in table["name"].to_pylist()]


def test_other_readers_see_the_columns_and_nulls_where_nothing_was_seen(tmp_path):
    write_index(tmp_path / INDEX, ["x", "y"], [row(5), Row(row(6).entry, NO_LOOK)])
    assert parquet.read_table(tmp_path / INDEX).to_pylist() == [
        {"name": "x", "position": 0, "shard": 5, "offset": 2560, "bytes": 5, "sha256": f"{5:016x}"}
        | {"format": "PNG", "width": 5, "height": 10},
        {"name": "y", "position": 1, "shard": 6, "offset": 3072, "bytes": 6, "sha256": f"{6:016x}"}
        | {"format": None, "width": None, "height": None},
    ]


def test_equal_rows_give_equal_bytes(tmp_path):
    names = [f"{number}" for number in range(1000)]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        written(tmp_path / name, names)
    assert (tmp_path / "one" / INDEX).read_bytes() == (tmp_path / "two" / INDEX).read_bytes()


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("train/0001.pgn", "train/0001.png"), ("trian/0001.png", "train/0001.png"), ("train/00001.png", "train/0001.png")],
)
def test_an_unknown_name_gets_a_hint(tmp_path, asked, meant):
    index = written(tmp_path, ["train/0001.png", "val/7.jpg"])
    with pytest.raises(DataError) as fault:
        index[asked]
    assert str(fault.value) == (
        f"{tmp_path / INDEX}: {asked}: no such picture (did you mean {meant}?); it holds 2 names"
    )


def test_a_name_that_no_file_can_have_is_not_there(tmp_path):
    index = written(tmp_path, ["a"])
    assert "\ud800" not in index
    assert None not in index
    with pytest.raises(DataError, match="no such picture; it holds 1 names"):
        index["\ud800"]


@pytest.mark.parametrize("kept", [0, 3, 200, -1])
def test_a_truncated_index_is_refused(tmp_path, kept):
    written(tmp_path, [f"{number}" for number in range(100)])
    path = tmp_path / INDEX
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"images\.parquet: not a readable index .*; build the data set again"):
        Index(path)


def test_any_flipped_byte_of_the_rows_is_noticed(tmp_path):
    names = [f"{number}" for number in range(300)]
    written(tmp_path, names)
    path = tmp_path / INDEX
    content = path.read_bytes()
    told = parquet.ParquetFile(path).metadata.row_group(0)
    for column in (told.column(number) for number in range(6)):
        end = column.data_page_offset + column.total_compressed_size
        broken = bytearray(content)
        broken[end - 10] ^= 1
        path.write_bytes(broken)
        with pytest.raises(DataError, match="not a readable index"):
            Index(path)


def test_another_table_is_refused_with_its_columns(tmp_path):
    parquet.write_table(pyarrow.table({"name": ["a"], "shard": [1]}), tmp_path / INDEX)
    with pytest.raises(DataError, match=r"not an index of pictures \(name, shard\); allowed name large_string"):
        Index(tmp_path / INDEX)


def test_an_index_with_an_empty_cell_is_refused(tmp_path):
    written(tmp_path, ["a", "b"])
    table = parquet.read_table(tmp_path / INDEX)
    holed = table.set_column(3, "offset", pyarrow.array([0, None], "int64"))
    parquet.write_table(holed, tmp_path / INDEX)
    with pytest.raises(DataError, match="1 rows without offset; build the data set again"):
        Index(tmp_path / INDEX)


@pytest.mark.parametrize("digits", ["0" * 15, "0" * 14, "x" * 16])
def test_an_index_with_a_broken_sha256_is_refused(tmp_path, digits):
    write_index(tmp_path / INDEX, ["a"], [Row(Entry(0, 512, 1, digits), NO_LOOK)])
    with pytest.raises(DataError, match="not a readable index"):
        Index(tmp_path / INDEX)


def test_names_about_a_landmark_are_found(tmp_path):
    names = [f"{number:05d}" for number in range(1, 4 * STRIDE, 2)]
    index = written(tmp_path, names)
    assert [f"{number:05d}" in index for number in range(4 * STRIDE + 2)] == [
        number % 2 == 1 and number < 4 * STRIDE for number in range(4 * STRIDE + 2)
    ]
