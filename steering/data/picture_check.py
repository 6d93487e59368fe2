"""Every distinct picture of a data set decoded once, before anything expensive rests on it: what cannot be used, and
what is odd.

A fault is what ImageArchive.open refuses. An oddity can be used and is told, for it may not be what was meant. A
picture has one fault, or any number of oddities. What follows from a fault is the data set's policy: `fail` ends with
all faults at once; `exclude` leaves the pictures out, with what is said and asked about them, and says how many.
"""

from __future__ import annotations

import io
import multiprocessing
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image, UnidentifiedImageError

from steering.data.shards import ImageArchive
from steering.data.shards.archive import as_rgb
from steering.errors import DataError
from steering.progress import progress

LARGE_PIXELS = 89_478_485
"""A picture with more is odd, one of more than twice as many a fault: where Pillow warns, and where it refuses."""

SHOWN = 10
CHUNK = 64
"""Pictures that a process is given at once."""

FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".gif": "GIF", ".webp": "WEBP", ".bmp": "BMP"}
FORMATS |= {".tif": "TIFF", ".tiff": "TIFF"}
JPEG = ("JPEG", "MPO")
"""MPO is Pillow's name for a JPEG with more pictures behind the first."""

ORIENTATION, UPRIGHT = 0x0112, 1
PNG_DEPTH = 24
"""Where a PNG says how many bits a channel has."""
WEB_PAGE = (b"<!doctype html", b"<html")

FAULTS = {
    "empty": "no bytes",
    "web page": "HTML saved as a picture",
    "too many pixels": f"more than {2 * LARGE_PIXELS:,}, which Pillow refuses as a decompression bomb",
    "truncated": "the bytes end before the picture does",
    "unreadable": "no picture that Pillow decodes",
}
ODDITIES = {
    "another format than named": "readers go by the bytes",
    "cmyk": "converted without a colour profile",
    "more than 8 bits": "of 16 the upper 8 are used",
    "turned by exif": "shown as it lies in the file, as the papers' code does",
    "transparent": "the transparency is dropped, the colours under it show",
    "several frames": "the first is used",
    "very large": f"more than {LARGE_PIXELS:,} pixels",
}

Kinds = tuple[str, ...]


@dataclass
class Findings:
    """What a check found: kind -> the pictures that have it, each by its first name; `excluded` holds all names."""

    pictures: int = 0
    faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    oddities: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    excluded: list[str] = field(default_factory=list)

    def add(self, name: str, kinds: Kinds) -> None:
        self.pictures += 1
        for kind in kinds:
            (self.faults if kind in FAULTS else self.oddities)[kind].append(name)

    @property
    def faulty(self) -> int:
        return sum(map(len, self.faults.values()))

    def told(self) -> dict[str, Any]:
        """Plain builtins: counts and the first names by kind, and every name that is left out."""
        return {
            "pictures": self.pictures,
            "faults": _counted(self.faults, FAULTS),
            "oddities": _counted(self.oddities, ODDITIES),
            "excluded": self.excluded,
        }

    def lines(self) -> Iterator[str]:
        for found, kinds in ((self.faults, FAULTS), (self.oddities, ODDITIES)):
            for kind, counted in _counted(found, kinds).items():
                more = f" and {counted['count'] - SHOWN:,} more" if counted["count"] > SHOWN else ""
                yield f"  {kind} ({kinds[kind]}): {counted['count']:,}\n    {', '.join(counted['first'])}{more}"


def _counted(found: Mapping[str, list[str]], kinds: Iterable[str]) -> dict[str, dict[str, Any]]:
    return {kind: {"count": len(found[kind]), "first": found[kind][:SHOWN]} for kind in kinds if found.get(kind)}


def check_pictures(archive: ImageArchive, *, processes: int = 1) -> Findings:
    """Decode every distinct picture of *archive* to its end, in as many *processes*.

    Raises DataError where the archive itself is damaged: that is no fault of a picture, and no policy excuses it.
    """
    names, findings = archive.distinct(), Findings()
    with _mapped(archive, names, processes) as kinds:
        for name, found in zip(progress(names, "pictures checked"), kinds, strict=True):
            findings.add(name, found)
    if findings.faulty:
        lost = {archive.identity(name) for own in findings.faults.values() for name in own}
        findings.excluded = sorted(name for name in archive.names() if archive.identity(name) in lost)
    return findings


def judge(findings: Findings, policy: str, *, where: str) -> str:
    """What a user is told. Raises DataError for faults under the policy `fail`; *where* names the data set."""
    lines = "\n".join(findings.lines())
    if findings.faulty and policy == "fail":
        raise DataError(
            f"{where}: {findings.faulty:,} of {findings.pictures:,} pictures cannot be used\n{lines}\nallowed are "
            "pictures that decode to their end; mend them in the source, or leave them out with all that is said and "
            "asked about them (faulty_pictures: exclude)"
        )
    left = f", {findings.faulty:,} of them left out ({len(findings.excluded):,} names)" if findings.faulty else ""
    return f"{where}: {findings.pictures:,} pictures decoded{left}\n{lines}".rstrip()


def kinds_of(name: str, content: bytes) -> Kinds:
    """The fault of a picture, a key of FAULTS, or its oddities, keys of ODDITIES; empty for a plain one."""
    if not content:
        return ("empty",)
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content)) as picture:
            mode = picture.mode
            _decode(picture)
            return tuple(_oddities(name, content, picture, mode))
    except Exception as fault:  # a decoder may raise anything on broken bytes
        return (_fault(content, fault),)


def _decode(picture: Image.Image) -> None:
    """As ImageArchive.open does; a JPEG at an eighth of its size, for which all of its bytes are read all the same."""
    if picture.format in JPEG:
        picture.draft("L", (1, 1))
        picture.load()
    else:
        as_rgb(picture)


def _fault(content: bytes, fault: Exception) -> str:
    if isinstance(fault, Image.DecompressionBombError):
        return "too many pixels"
    if isinstance(fault, UnidentifiedImageError) and any(tag in content[:512].lower() for tag in WEB_PAGE):
        return "web page"
    return "truncated" if isinstance(fault, EOFError) or "truncated" in str(fault).lower() else "unreadable"


def _oddities(name: str, content: bytes, picture: Image.Image, mode: str) -> Iterator[str]:
    """Of a decoded picture; *mode* is that of the file."""
    form, suffix = "JPEG" if picture.format in JPEG else picture.format, PurePosixPath(name).suffix.lower()
    if form != FORMATS.get(suffix, form):
        yield "another format than named"
    if mode == "CMYK":
        yield "cmyk"
    if mode.startswith("I") or mode == "F" or (form == "PNG" and content[PNG_DEPTH] > 8):
        yield "more than 8 bits"
    if _turned(picture):
        yield "turned by exif"
    if picture.has_transparency_data:
        yield "transparent"
    if form != "JPEG" and _animated(picture):
        yield "several frames"
    if picture.width * picture.height > LARGE_PIXELS:
        yield "very large"


def _turned(picture: Image.Image) -> bool:
    try:
        return picture.getexif().get(ORIENTATION, UPRIGHT) != UPRIGHT
    except Exception:  # broken EXIF turns nothing
        return False


def _animated(picture: Image.Image) -> bool:
    try:
        return bool(getattr(picture, "is_animated", False))
    except Exception:  # what comes behind the first frame is not used
        return False


@contextmanager
def _mapped(archive: ImageArchive, names: Sequence[str], processes: int) -> Iterator[Iterable[Kinds]]:
    """The kinds of each of *names*; other processes are started afresh, for a forked one may inherit a held lock."""
    if processes == 1:
        yield map(partial(_kinds_of, archive), names)
        return
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool.map(partial(_kinds_in, archive.folder), names, chunksize=CHUNK)


def _kinds_of(archive: ImageArchive, name: str) -> Kinds:
    return kinds_of(name, archive.read(name))


def _kinds_in(folder: Path, name: str) -> Kinds:
    return _kinds_of(_opened(folder), name)


@cache
def _opened(folder: Path) -> ImageArchive:
    """An archive of a checking process, whose index is read once for all the pictures it is given."""
    return ImageArchive(folder)
