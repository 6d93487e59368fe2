"""The benchmark of storage, at a tiny size: that all stores hold the same, and what the record and tables hold."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from benchmarks.storage import KINDS, index_rows, loader_rows, main, rows_of
from benchmarks.stores import BASE, STORES, picture_name, pictures
from steering.manifest import read_json


@pytest.mark.parametrize("store", STORES)
def test_a_store_gives_back_what_was_written(store, tmp_path):
    written = dict(pictures(300, side=16, seed=1))
    STORES[store].write(tmp_path / store, written.items())
    read = STORES[store].open(tmp_path / store)
    assert {name: read(name) for name in reversed(written)} == written


def test_pictures_differ_and_the_seed_alone_decides_them():
    made = list(pictures(600, side=16, seed=1))
    assert [name for name, _ in made] == [picture_name(number) for number in range(600)]
    assert len({content for _, content in made}) == 600
    assert made == list(pictures(600, side=16, seed=1))
    assert made[0] != next(pictures(600, side=16, seed=2))


def test_a_comment_changes_no_pixel():
    made = [content for _, content in pictures(257, side=16, seed=1)]
    first, again = (Image.open(io.BytesIO(made[number])) for number in (0, 256))
    assert first.size == (16, 16)
    assert first.tobytes() == again.tobytes()
    assert again.info["comment"] == b"256"


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    out = tmp_path_factory.mktemp("benchmark") / "storage.json"
    main(
        ["--count=40", "--side=32", "--reads=10", "--rows=2000", "--steps=2", "--workers", "0", "--repeats=2"]
        + [f"--out={out}"]
    )
    return read_json(out)


@pytest.mark.slow
def test_the_record_holds_circumstances_the_work_raw_rounds_and_ratios(record):
    assert record["settings"]["count"] == record["pictures"]["count"] == 40
    assert record["pictures"]["bytes"] == sum(len(content) for _, content in pictures(40, side=32, seed=0))
    assert list(record["stores"]) == list(STORES)
    for row in record["stores"].values():
        assert {kind: len(row["raw"][kind]) for kind in KINDS} == dict.fromkeys(KINDS, 2)
        assert row["write_seconds"] > 0
    assert {found["value"] for found in record["stores"][BASE]["ratios"].values()} == {1.0}
    assert record["machine"]["load"] >= 0


@pytest.mark.slow
def test_a_rate_is_bytes_over_the_median_round(record):
    row = record["stores"][BASE]
    content = sum(len(content) for _, content in list(pictures(40, side=32, seed=0))[:10]) / 1e6
    assert row["megabytes_per_second"]["sequential"] == pytest.approx(content / (sum(row["raw"]["sequential"]) / 2))


@pytest.mark.slow
def test_the_index_and_the_loader_are_told(record):
    assert record["index"]["shards"]["rows"] == record["index"]["json"]["rows"] == 2000
    assert record["index"]["shards"]["bytes"] < record["index"]["json"]["bytes"]
    (share,) = (row["wait_share"] for row in record["loader"].values())
    assert 0 < share < 1


@pytest.mark.slow
def test_the_tables_have_a_line_each(record):
    assert [row[0] for row in rows_of(record)[1:]] == list(STORES)
    assert [row[0] for row in index_rows(record)[1:]] == ["shards", "json"]
    assert [row[0] for row in loader_rows(record)[1:]] == ["0 workers"]
    for rows in (rows_of(record), index_rows(record), loader_rows(record)):
        assert len({len(row) for row in rows}) == 1


@pytest.mark.parametrize("arguments", [["--count", "0"], ["--reads", "none"]])
def test_sizes_below_one_are_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert "allowed 1 or more" in capsys.readouterr().err
