"""Pictures are found in zip or folder under all published layouts, and broken ones are told from damaged archives."""

from __future__ import annotations

import random

import pytest
from published import save_folder

from steering.data.converters.ledger import Unusable
from steering.data.converters.pictures import OTHER_SUFFIX, SUFFIXES, Pictures, Place, named_otherwise, picture_format
from steering.errors import SourceError
from tests.official_writing import picture, save_zip

SAVE = {"zip": lambda path, members: save_zip(path / "a.zip", members), "folder": save_folder}


@pytest.mark.parametrize("kind", SAVE)
@pytest.mark.parametrize("member", ["vg/VG_100K/1.jpg", "VG_100K/1.jpg", "1.jpg", "top/VG_100K/1.jpg"])
def test_a_picture_is_found_with_all_part_or_none_of_its_prefix(tmp_path, kind, member):
    source = SAVE[kind](tmp_path, {member: picture(1)})
    pictures = Pictures([Place("vg", "vg/VG_100K/", tops=("", "top/"))], {"vg": source})
    assert pictures.read("vg/VG_100K/1.jpg") == picture(1)
    assert pictures.repairs("vg/VG_100K/1.jpg") == ()


@pytest.mark.parametrize("there", ["1.gif", "1.PNG", "1.jpeg"])
def test_another_suffix_is_taken_where_the_place_allows_it(tmp_path, there):
    source = save_folder(tmp_path, {there: picture(1, "PNG")})
    assert Pictures([Place("ocr", "o/", suffixes=SUFFIXES)], {"ocr": source}).repairs("o/1.jpg") == (OTHER_SUFFIX,)
    with pytest.raises(Unusable, match="picture missing"):
        Pictures([Place("ocr", "o/")], {"ocr": source}).repairs("o/1.jpg")


def test_two_prefixes_that_begin_alike_are_two_places(tmp_path):
    sources = {name: save_folder(tmp_path / name, {"1.jpg": picture(at)}) for at, name in enumerate(("a", "b"))}
    pictures = Pictures([Place("a", "vg/V/"), Place("b", "vg/V_2/")], sources)
    assert [pictures.source(name) for name in ("vg/V/1.jpg", "vg/V_2/1.jpg")] == ["a", "b"]
    assert pictures.read("vg/V_2/1.jpg") == picture(1)
    with pytest.raises(Unusable, match="picture of an unknown source"):
        pictures.source("elsewhere/1.jpg")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
def test_only_pictures_whole_to_their_end_are_read(kind):
    assert picture_format(picture(3, kind)) == kind
    for content in (b"", b"<html>404</html>", picture(3, kind)[:-30], picture(3, kind)[:20]):
        with pytest.raises(Unusable, match="picture unreadable"):
            picture_format(content)


def test_bytes_of_another_format_than_the_name_says_are_seen():
    assert named_otherwise("a.jpg", picture(1, "GIF"))
    assert not named_otherwise("a.JPG", picture(1))
    assert not named_otherwise("a", picture(1))


def test_a_damaged_archive_is_no_missing_picture(tmp_path):
    path = save_zip(tmp_path / "a.zip", {"1.png": random.Random(0).randbytes(200) * 3})
    whole = path.read_bytes()
    for at in range(40, 200, 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with pytest.raises(SourceError, match=r"a\.zip: 1\.png: damaged"):
            Pictures([Place("a")], {"a": path}).read("1.png")


def test_what_is_no_archive_is_named(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"nothing")
    with pytest.raises(SourceError, match=r"a\.zip: not a zip"):
        Pictures([Place("a")], {"a": tmp_path / "a.zip"})
