"""Pictures are written as ordinary tars of a bounded size, in one step or not at all, and to the same bytes."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet

from steering.data.shards import ImageArchive, write_images
from steering.errors import DataError

RECORD = tarfile.RECORDSIZE


def encoded(colour: str, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), colour).save(buffer, form)
    return buffer.getvalue()


ITEMS = [("a.png", encoded("red")), ("b/" + "long" * 40 + ".png", encoded("blue")), ("ü.png", encoded("green"))]


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.tar"))


def members(shard: Path) -> list[str]:
    with tarfile.open(shard) as tar:
        return tar.getnames()


def test_the_archive_is_an_ordinary_tar(tmp_path):
    write_images(tmp_path, ITEMS)
    with tarfile.open(tmp_path / "images-00000.tar") as tar:
        read = [(member.name, tar.extractfile(member).read()) for member in tar]
    assert read == ITEMS


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 30_000), min_size=1, max_size=15),
    most=st.integers(1, 80_000),
    name=st.sampled_from(["{}", "ü{}", "long" * 30 + "{}"]),
)
def test_a_shard_is_as_full_as_it_may_be(tmp_path_factory, sizes, most, name):
    folder = tmp_path_factory.mktemp("sized")
    items = [(name.format(number), bytes(size)) for number, size in enumerate(sizes)]
    write_images(folder, items, shard_bytes=most)
    held = [members(shard) for shard in shards(folder)]
    assert sum(held, []) == [name for name, _ in items]
    assert all(len(own) == 1 or shard.stat().st_size <= most for own, shard in zip(held, shards(folder), strict=True))
    for own, following in zip(held, held[1:], strict=False):
        together = dict(items)
        write_images(folder / "joined", [(name, together[name]) for name in (*own, following[0])])
        assert (folder / "joined" / "images-00000.tar").stat().st_size > most


def test_a_picture_that_fills_a_shard_to_the_byte_is_in_it(tmp_path):
    exact = 2 * RECORD - 4 * tarfile.BLOCKSIZE  # two heads and the end of the tar take four blocks
    items = [("first", bytes(tarfile.BLOCKSIZE)), ("second", bytes(exact - tarfile.BLOCKSIZE))]
    write_images(tmp_path, items, shard_bytes=2 * RECORD)
    assert [shard.stat().st_size for shard in shards(tmp_path)] == [2 * RECORD]
    write_images(tmp_path, items, shard_bytes=2 * RECORD - 1)
    assert len(shards(tmp_path)) == 2


def test_equal_input_gives_equal_bytes(tmp_path):
    for folder in ("one", "two"):
        write_images(tmp_path / folder, ITEMS, {"alias": "a.png"}, shard_bytes=1)
    names = [path.name for path in sorted((tmp_path / "one").iterdir())]
    assert names == ["images-00000.tar", "images-00001.tar", "images-00002.tar", "images.parquet"]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_no_pictures_are_an_archive_without_names(tmp_path):
    write_images(tmp_path, [])
    archive = ImageArchive(tmp_path)
    assert archive.names() == archive.distinct() == []
    assert shards(tmp_path) == []
    with pytest.raises(DataError, match="a: no such picture; it holds 0 names"):
        archive.read("a")


def test_the_index_tells_what_the_head_of_a_picture_says(tmp_path):
    write_images(tmp_path, [("a.jpg", encoded("red")), ("b", b"<html>"), ("c", b"")], {"d": "a.jpg"})
    rows = parquet.read_table(tmp_path / "images.parquet", columns=["name", "format", "width", "height"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("a.jpg", "PNG", 6, 4),
        ("b", None, None, None),
        ("c", None, None, None),
        ("d", "PNG", 6, 4),
    ]


@pytest.mark.parametrize(
    ("items", "aliases", "fault"),
    [
        ([("a", b"1"), ("a", b"2")], {}, "a: given twice"),
        ([("a", b"1")], {"b": "c"}, "alias b: no picture c"),
        ([("a", b"1")], {"a": "a"}, "alias a: given twice"),
    ],
)
def test_names_must_be_unique_and_known(tmp_path, items, aliases, fault):
    with pytest.raises(DataError, match=fault):
        write_images(tmp_path, items, aliases)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_former_archive(tmp_path):
    write_images(tmp_path, ITEMS, shard_bytes=1)

    def broken():
        yield ITEMS[0]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_images(tmp_path, broken())
    assert ImageArchive(tmp_path).read("ü.png") == ITEMS[2][1]
    assert len(list(tmp_path.iterdir())) == 4


def test_shards_of_a_former_archive_do_not_stay(tmp_path):
    write_images(tmp_path, ITEMS, shard_bytes=1)
    write_images(tmp_path, ITEMS[:1])
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["images-00000.tar", "images.parquet"]


def test_a_write_cut_off_between_its_files_leaves_no_index(tmp_path, monkeypatch):
    write_images(tmp_path, ITEMS)

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("steering.data.shards.writing.os.replace", cut)
    with pytest.raises(KeyboardInterrupt):
        write_images(tmp_path, ITEMS[:1])
    with pytest.raises(DataError, match=r"images\.parquet: not found"):
        ImageArchive(tmp_path).names()
