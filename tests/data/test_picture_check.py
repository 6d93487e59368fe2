"""The picture check finds what cannot be used and what is odd, in every distinct picture once."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable

import numpy as np
import pytest
from PIL import Image

from steering.data.picture_check import FAULTS, LARGE_PIXELS, ODDITIES, check_pictures, judge, kinds_of
from steering.data.shards import ImageArchive, write_images
from steering.errors import DataError

NOISE = Image.frombytes("RGB", (48, 40), os.urandom(48 * 40 * 3))


def saved(form: str, picture: Image.Image = NOISE, **more) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **more)
    return buffer.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def declared(width: int, height: int) -> bytes:
    """A GIF of one pixel that says it has so many."""
    content = bytearray(saved("GIF", Image.new("P", (1, 1))))
    content[6:10] = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    return bytes(content)


def broken_inside(content: bytes) -> bytes:
    """A PNG whose compressed pixels are no longer that."""
    at = content.index(b"IDAT") + 4
    return content[:at] + b"\xff" * 20 + content[at + 20 :]


PALETTE = NOISE.quantize(16)
RED_ALPHA = Image.new("RGBA", (5, 5), (255, 0, 0, 9))
FRAMES = {"save_all": True, "append_images": [PALETTE.rotate(90), PALETTE]}
DEEP = Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 100)

PICTURES: dict[str, tuple[str, bytes, set[str]]] = {
    "a plain JPEG": ("x.jpg", saved("JPEG"), set()),
    "a plain JPEG by its other suffix, in capitals": ("x.JPEG", saved("JPEG"), set()),
    "a grey JPEG": ("x.jpg", saved("JPEG", NOISE.convert("L")), set()),
    "a progressive JPEG": ("x.jpg", saved("JPEG", progressive=True), set()),
    "a plain PNG": ("x.png", saved("PNG"), set()),
    "a palette PNG": ("x.png", saved("PNG", PALETTE), set()),
    "a name without a suffix": ("x", saved("PNG"), set()),
    "no bytes": ("x.jpg", b"", {"empty"}),
    "half a JPEG": ("x.jpg", half(saved("JPEG")), {"truncated"}),
    "half a progressive JPEG": ("x.jpg", half(saved("JPEG", progressive=True)), {"truncated"}),
    "half a PNG": ("x.png", half(saved("PNG")), {"truncated"}),
    "half a GIF": ("x.gif", half(saved("GIF", PALETTE)), {"truncated"}),
    "a broken PNG": ("x.png", broken_inside(saved("PNG")), {"unreadable"}),
    "a page": ("x.jpg", b"<!DOCTYPE html>\n<title>404 Not Found</title>", {"web page"}),
    "a page in capitals behind a blank line": ("x.png", b"\r\n <HTML><BODY>No</BODY></HTML>", {"web page"}),
    "text": ("x.jpg", b"404: Not Found", {"unreadable"}),
    "a bomb": ("x.gif", declared(20_000, 10_000), {"too many pixels"}),
    "a GIF named .jpg": ("x.jpg", saved("GIF", PALETTE), {"another format than named"}),
    "a CMYK JPEG": ("x.jpg", saved("JPEG", NOISE.convert("CMYK")), {"cmyk"}),
    "a grey PNG of 16 bits": ("x.png", saved("PNG", DEEP), {"more than 8 bits"}),
    "a grey TIFF of 16 bits": ("x.tif", saved("TIFF", DEEP), {"more than 8 bits"}),
    "a JPEG on its side": ("x.jpg", saved("JPEG", exif=turned(6)), {"turned by exif"}),
    "a JPEG that says it is upright": ("x.jpg", saved("JPEG", exif=turned(1)), set()),
    "a PNG with alpha": ("x.png", saved("PNG", RED_ALPHA), {"transparent"}),
    "a palette PNG with a transparent colour": ("x.png", saved("PNG", PALETTE, transparency=3), {"transparent"}),
    "a GIF of three frames": ("x.gif", saved("GIF", PALETTE, **FRAMES), {"several frames"}),
    "several at once": (
        "x.jpg",
        saved("PNG", RED_ALPHA, exif=turned(3)),
        {"another format than named", "turned by exif", "transparent"},
    ),
}


@pytest.mark.parametrize("what", PICTURES)
def test_what_is_wrong_with_a_picture(what):
    name, content, kinds = PICTURES[what]
    assert set(kinds_of(name, content)) == kinds


def test_every_kind_is_told_apart_but_the_very_large():
    told = set().union(*(kinds for _, _, kinds in PICTURES.values()))
    assert told == {*FAULTS, *ODDITIES} - {"very large"}


def test_a_picture_is_very_large_where_pillow_warns_and_a_fault_where_it_refuses(monkeypatch):
    assert LARGE_PIXELS == Image.MAX_IMAGE_PIXELS
    pixels = NOISE.width * NOISE.height
    for limit, kinds in ((pixels, ()), (pixels - 1, ("very large",)), (pixels // 2 - 1, ("too many pixels",))):
        monkeypatch.setattr("steering.data.picture_check.LARGE_PIXELS", limit)
        monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", limit)
        assert kinds_of("x.png", saved("PNG")) == kinds


@pytest.mark.parametrize("what", PICTURES)
def test_a_fault_is_what_the_archive_refuses_to_open(tmp_path, what):
    name, content, kinds = PICTURES[what]
    write_images(tmp_path, [(name, content)])
    if kinds & FAULTS.keys():
        with pytest.raises(DataError, match="not a readable picture"):
            ImageArchive(tmp_path).open(name)
    else:
        assert ImageArchive(tmp_path).open(name).mode == "RGB"


def archive_of(folder, items: Iterable[tuple[str, bytes]], aliases: dict[str, str] | None = None) -> ImageArchive:
    write_images(folder, items, aliases, shard_bytes=20_480)
    return ImageArchive(folder)


def mixed(folder) -> ImageArchive:
    """Three good pictures, one of them on its side, a truncated one with two names more, and an empty one."""
    cut = half(saved("JPEG"))
    items = [("a.jpg", saved("JPEG")), ("b.jpg", cut), ("c.png", saved("PNG")), ("d.jpg", b"")]
    items += [("e.jpg", saved("JPEG", exif=turned(8))), ("same bytes as b.jpg", cut)]
    return archive_of(folder, items, {"z.jpg": "b.jpg", "y.jpg": "a.jpg"})


TOLD = {
    "pictures": 5,
    "faults": {"empty": {"count": 1, "first": ["d.jpg"]}, "truncated": {"count": 1, "first": ["b.jpg"]}},
    "oddities": {"turned by exif": {"count": 1, "first": ["e.jpg"]}},
    "excluded": ["b.jpg", "d.jpg", "same bytes as b.jpg", "z.jpg"],
}


@pytest.mark.parametrize("processes", [1, 2])
def test_distinct_pictures_are_counted_and_all_names_of_a_faulty_one_excluded(tmp_path, processes):
    assert check_pictures(mixed(tmp_path), processes=processes).told() == TOLD


def test_a_picture_is_decoded_once_whatever_its_names(tmp_path, monkeypatch):
    seen: list[str] = []
    archive = mixed(tmp_path)
    monkeypatch.setattr("steering.data.picture_check.kinds_of", lambda name, content: seen.append(name) or ())
    assert check_pictures(archive).told()["pictures"] == 5
    assert seen == ["a.jpg", "b.jpg", "c.png", "d.jpg", "e.jpg"]


def test_an_archive_without_pictures_has_nothing_wrong(tmp_path):
    told = check_pictures(archive_of(tmp_path, [])).told()
    assert told == {"pictures": 0, "faults": {}, "oddities": {}, "excluded": []}


def test_a_damaged_archive_is_no_fault_of_its_pictures(tmp_path):
    archive = mixed(tmp_path)
    shard = tmp_path / "images-00000.tar"
    shard.write_bytes(shard.read_bytes()[:700])
    with pytest.raises(DataError, match=r"images-00000\.tar: a\.jpg: damaged"):
        check_pictures(archive)


def test_faults_end_everything_under_the_policy_fail(tmp_path):
    with pytest.raises(DataError) as fault:
        judge(check_pictures(mixed(tmp_path)), "fail", where="data/w/mixed")
    assert str(fault.value).splitlines() == [
        "data/w/mixed: 2 of 5 pictures cannot be used",
        "  empty (no bytes): 1",
        "    d.jpg",
        "  truncated (the bytes end before the picture does): 1",
        "    b.jpg",
        "  turned by exif (shown as it lies in the file, as the papers' code does): 1",
        "    e.jpg",
        "allowed are pictures that decode to their end; mend them in the source, or leave them out with all that is "
        "said and asked about them (faulty_pictures: exclude)",
    ]


def test_faults_are_told_and_counted_under_the_policy_exclude(tmp_path):
    told = judge(check_pictures(mixed(tmp_path)), "exclude", where="data/w/mixed")
    assert told.splitlines()[0] == "data/w/mixed: 5 pictures decoded, 2 of them left out (4 names)"
    assert "    b.jpg" in told.splitlines()


@pytest.mark.parametrize("policy", ["fail", "exclude"])
def test_oddities_alone_are_told_and_end_nothing(tmp_path, policy):
    found = check_pictures(archive_of(tmp_path, [("a.jpg", saved("JPEG", exif=turned(3)))]))
    assert judge(found, policy, where="w").splitlines()[0] == "w: 1 pictures decoded"


def test_ten_names_of_a_kind_are_shown_and_all_are_excluded(tmp_path):
    items = [(f"{number:02d}.jpg", half(saved("JPEG")) + bytes([number])) for number in range(12)]
    found = check_pictures(archive_of(tmp_path, items))
    assert found.told()["faults"]["truncated"] == {"count": 12, "first": [f"{number:02d}.jpg" for number in range(10)]}
    assert len(found.excluded) == 12
    with pytest.raises(DataError, match=r"09\.jpg and 2 more"):
        judge(found, "fail", where="w")
