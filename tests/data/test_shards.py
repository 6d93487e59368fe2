"""Picture archives keep bytes, names and identities, and say which picture is damaged."""

from __future__ import annotations

import io
import pickle
import tarfile

import pytest
from PIL import Image

from steering.data.shards import ImageArchive, write_images
from steering.errors import DataError


def encoded(colour: str, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), colour).save(buffer, form)
    return buffer.getvalue()


ITEMS = [("a.png", encoded("red")), ("b/" + "long" * 40 + ".png", encoded("blue")), ("ü.png", encoded("green"))]


def test_bytes_and_names_come_back(tmp_path):
    write_images(tmp_path, ITEMS)
    archive = ImageArchive(tmp_path)
    assert archive.names() == [name for name, _ in ITEMS]
    assert [archive.read(name) for name, _ in ITEMS] == [content for _, content in ITEMS]
    assert archive.open("a.png").getpixel((0, 0)) == (255, 0, 0)


def test_an_alias_has_the_identity_of_its_picture(tmp_path):
    write_images(tmp_path, ITEMS, {"other/name.png": "a.png"})
    archive = ImageArchive(tmp_path)
    assert archive.identity("other/name.png") == archive.identity("a.png") != archive.identity("ü.png")
    assert archive.read("other/name.png") == ITEMS[0][1]


def test_the_archive_is_an_ordinary_tar(tmp_path):
    write_images(tmp_path, ITEMS)
    with tarfile.open(tmp_path / "images.tar") as tar:
        assert tar.getnames() == [name for name, _ in ITEMS]


def test_equal_input_gives_equal_bytes(tmp_path):
    for folder in ("one", "two"):
        write_images(tmp_path / folder, ITEMS, {"alias": "a.png"})
    for file in ("images.tar", "images.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_an_archive_survives_pickling_after_use(tmp_path):
    write_images(tmp_path, ITEMS)
    archive = ImageArchive(tmp_path)
    archive.read("a.png")
    assert pickle.loads(pickle.dumps(archive)).read("a.png") == ITEMS[0][1]


@pytest.mark.parametrize("content", [b"", encoded("red")[:40], b"<html>", encoded("red", "GIF")[:20]])
def test_an_unreadable_picture_is_named(tmp_path, content):
    write_images(tmp_path, [("broken.png", content)])
    with pytest.raises(DataError, match=r"images\.tar: broken\.png: not a readable picture"):
        ImageArchive(tmp_path).open("broken.png")


@pytest.mark.parametrize("mode", ["P", "L", "RGBA", "CMYK", "I;16"])
def test_every_mode_opens_as_rgb(tmp_path, mode):
    buffer = io.BytesIO()
    Image.new(mode, (3, 3)).save(buffer, "TIFF")
    write_images(tmp_path, [("x.png", buffer.getvalue())])
    assert ImageArchive(tmp_path).open("x.png").mode == "RGB"


def test_a_truncated_archive_is_named(tmp_path):
    write_images(tmp_path, ITEMS)
    tar = tmp_path / "images.tar"
    tar.write_bytes(tar.read_bytes()[:600])
    with pytest.raises(DataError, match=r"images\.tar: ü\.png: damaged \(0 of"):
        ImageArchive(tmp_path).read("ü.png")


def test_a_flipped_byte_is_noticed(tmp_path):
    write_images(tmp_path, ITEMS)
    tar = tmp_path / "images.tar"
    content = bytearray(tar.read_bytes())
    content[content.index(ITEMS[0][1]) + 20] ^= 1
    tar.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png: damaged"):
        ImageArchive(tmp_path).open("a.png")


def test_an_unknown_name_gets_a_hint(tmp_path):
    write_images(tmp_path, [("train/0001.png", b"x")])
    with pytest.raises(DataError, match=r"did you mean train/0001\.png"):
        ImageArchive(tmp_path).read("train/0001.pgn")


def test_a_folder_without_archive_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"images\.json: not found"):
        ImageArchive(tmp_path).names()


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
    write_images(tmp_path, ITEMS)

    def broken():
        yield ITEMS[0]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_images(tmp_path, broken())
    assert ImageArchive(tmp_path).read("ü.png") == ITEMS[2][1]
