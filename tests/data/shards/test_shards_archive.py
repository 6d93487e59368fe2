"""Picture archives keep bytes, names and identities, and say which picture is damaged."""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from steering.data.shards import ImageArchive, write_images
from steering.errors import DataError


def encoded(colour: str, form: str = "PNG") -> bytes:
    return saved(Image.new("RGB", (6, 4), colour), form)


def saved(picture: Image.Image, form: str, **more) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **more)
    return buffer.getvalue()


ITEMS = [("a.png", encoded("red")), ("b/" + "long" * 40 + ".png", encoded("blue")), ("ü.png", encoded("green"))]
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=9)


def test_bytes_and_names_come_back(tmp_path):
    write_images(tmp_path, ITEMS)
    archive = ImageArchive(tmp_path)
    assert archive.names() == [name for name, _ in ITEMS]
    assert [archive.read(name) for name, _ in ITEMS] == [content for _, content in ITEMS]
    assert archive.open("a.png").getpixel((0, 0)) == (255, 0, 0)


@settings(max_examples=30, deadline=None)
@given(
    pictures=st.dictionaries(NAMES, st.binary(max_size=1500), max_size=12),
    shard_bytes=st.sampled_from([1, 20_480, 1 << 30]),
)
def test_any_pictures_come_back_by_name_whatever_the_shards(tmp_path_factory, pictures, shard_bytes):
    folder = tmp_path_factory.mktemp("any")
    write_images(folder, pictures.items(), shard_bytes=shard_bytes)
    archive = ImageArchive(folder)
    assert archive.names() == list(pictures)
    assert {name: archive.read(name) for name in random.sample(list(pictures), len(pictures))} == pictures
    assert all(name in archive for name in pictures)
    assert "\0" not in archive
    firsts = {content: name for name, content in reversed(pictures.items())}
    assert archive.distinct() == [name for name in pictures if name in firsts.values()]


def test_an_alias_has_the_identity_of_its_picture(tmp_path):
    write_images(tmp_path, ITEMS, {"other/name.png": "a.png"})
    archive = ImageArchive(tmp_path)
    assert archive.identity("other/name.png") == archive.identity("a.png") != archive.identity("ü.png")
    assert archive.read("other/name.png") == ITEMS[0][1]
    assert archive.names()[-1] == "other/name.png"
    assert archive.distinct() == [name for name, _ in ITEMS]


def test_an_identity_is_the_first_16_digits_of_the_sha256(tmp_path):
    write_images(tmp_path, [("abc", b"abc")])
    assert ImageArchive(tmp_path).identity("abc") == "ba7816bf8f01cfea"


def test_an_archive_survives_pickling_after_use(tmp_path):
    write_images(tmp_path, ITEMS)
    archive = ImageArchive(tmp_path)
    archive.read("a.png")
    assert pickle.loads(pickle.dumps(archive)).read("a.png") == ITEMS[0][1]


def reads_back(archive: ImageArchive, pictures: dict[str, bytes]) -> None:
    wrong = [name for name in random.sample(list(pictures), len(pictures)) if archive.read(name) != pictures[name]]
    os._exit(1 if wrong else 0)


@pytest.mark.parametrize("used", [True, False])
def test_forked_processes_read_side_by_side(tmp_path, used):
    pictures = {f"{number}": os.urandom(3000) for number in range(200)}
    write_images(tmp_path, pictures.items(), shard_bytes=100_000)
    archive = ImageArchive(tmp_path)
    if used:
        archive.read("0")
    fork = multiprocessing.get_context("fork")
    readers = [fork.Process(target=reads_back, args=(archive, pictures)) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(60)
    assert [reader.exitcode for reader in readers] == [0] * 4


def test_more_shards_than_may_be_open_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("steering.data.shards.archive.MOST_OPEN", 3)
    write_images(tmp_path, [(f"{number}", bytes([number])) for number in range(10)], shard_bytes=1)
    archive = ImageArchive(tmp_path)
    assert [archive.read(f"{number % 10}") for number in range(30)] == [bytes([number % 10]) for number in range(30)]
    assert len(archive._files) == 3


@pytest.mark.parametrize("content", [b"", encoded("red")[:40], b"<html>", encoded("red", "GIF")[:20]])
def test_an_unreadable_picture_is_named(tmp_path, content):
    write_images(tmp_path, [("broken.png", content)])
    with pytest.raises(DataError, match=r"images-00000\.tar: broken\.png: not a readable picture"):
        ImageArchive(tmp_path).open("broken.png")


@pytest.mark.parametrize("mode", ["1", "P", "L", "LA", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_mode_opens_as_rgb(tmp_path, mode):
    write_images(tmp_path, [("x.png", saved(Image.new(mode, (3, 3)), "TIFF"))])
    assert ImageArchive(tmp_path).open("x.png").mode == "RGB"


LEVELS = [0, 255, 256, 1000, 32768, 65535]


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
def test_grey_of_16_bits_keeps_its_upper_8(tmp_path, form):
    write_images(tmp_path, [("x", saved(Image.fromarray(np.array([LEVELS], np.uint16)), form))])
    opened = np.asarray(ImageArchive(tmp_path).open("x"))
    assert opened.tolist() == [[[level >> 8] * 3 for level in LEVELS]]


def test_a_picture_is_not_turned_by_its_orientation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    write_images(tmp_path, [("x.jpg", saved(Image.new("RGB", (6, 4)), "JPEG", exif=exif))])
    assert ImageArchive(tmp_path).open("x.jpg").size == (6, 4)


def test_cmyk_keeps_its_colour(tmp_path):
    write_images(tmp_path, [("x.jpg", saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95))])
    red, green, blue = ImageArchive(tmp_path).open("x.jpg").getpixel((4, 4))
    assert red > 250 and green < 5 and blue < 5


def test_a_truncated_shard_is_named(tmp_path):
    write_images(tmp_path, ITEMS)
    tar = tmp_path / "images-00000.tar"
    tar.write_bytes(tar.read_bytes()[:600])
    with pytest.raises(DataError, match=r"images-00000\.tar: ü\.png: damaged \(0 of"):
        ImageArchive(tmp_path).read("ü.png")


def test_a_flipped_byte_is_noticed(tmp_path):
    write_images(tmp_path, ITEMS)
    tar = tmp_path / "images-00000.tar"
    content = bytearray(tar.read_bytes())
    content[content.index(ITEMS[0][1]) + 20] ^= 1
    tar.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png: damaged"):
        ImageArchive(tmp_path).open("a.png")


def test_a_missing_shard_is_named_and_the_others_are_read(tmp_path):
    write_images(tmp_path, ITEMS, shard_bytes=1)
    (tmp_path / "images-00001.tar").unlink()
    archive = ImageArchive(tmp_path)
    assert archive.read("ü.png") == ITEMS[2][1]
    with pytest.raises(DataError, match=r"images-00001\.tar: not found"):
        archive.read(ITEMS[1][0])


def test_shards_that_change_places_are_noticed(tmp_path):
    write_images(tmp_path, ITEMS, shard_bytes=1)
    first, last = tmp_path / "images-00000.tar", tmp_path / "images-00002.tar"
    first.rename(tmp_path / "aside")
    last.rename(first)
    (tmp_path / "aside").rename(last)
    with pytest.raises(DataError, match=r"images-00000\.tar: a\.png: damaged"):
        ImageArchive(tmp_path).read("a.png")


def test_a_folder_without_archive_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"images\.parquet: not found"):
        ImageArchive(tmp_path).names()
