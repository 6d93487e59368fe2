"""Pictures as they were published: in zip archives or folders, found by the name a conversation gives them.

Nothing is unpacked; a picture goes from the zip straight to whoever reads it.
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from PIL import Image

from steering.data.archives import open_zip
from steering.data.converters.ledger import Unusable
from steering.errors import SourceError

LIMIT_BYTES = 256 << 20
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif")
FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".gif": "GIF", ".webp": "WEBP", ".bmp": "BMP"}
OTHER_SUFFIX = "picture under another suffix: taken"
MISSING, UNPLACED = "picture missing", "picture of an unknown source"
TOO_LARGE, UNREADABLE = "picture too large", "picture unreadable"


class Store(Protocol):
    """Files by relative name, out of a zip or a folder."""

    def __contains__(self, name: str, /) -> bool: ...

    def size(self, name: str) -> int: ...

    def read(self, name: str) -> bytes: ...

    def names(self) -> Iterable[str]: ...


class Folder:
    """The files below a folder."""

    def __init__(self, root: Path):
        self.root = root

    def __contains__(self, name: str) -> bool:
        return (self.root / name).is_file()

    def size(self, name: str) -> int:
        return os.path.getsize(self.root / name)

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def names(self) -> list[str]:
        return sorted(path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file())


class Zip:
    """The members of a zip archive, checked against their CRC as they are read; SourceError for a damaged one."""

    def __init__(self, path: Path):
        self.path = path
        self._archive = open_zip(path)

    def __contains__(self, name: str) -> bool:
        return name in self._archive.NameToInfo

    def size(self, name: str) -> int:
        return self._archive.getinfo(name).file_size

    def read(self, name: str) -> bytes:
        try:
            return self._archive.read(name)
        except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError) as fault:
            raise SourceError(
                f"{self.path}: {name}: damaged ({fault}); remove the archive and fetch it again"
            ) from fault

    def names(self) -> list[str]:
        return [name for name in self._archive.NameToInfo if not name.endswith("/")]


def open_store(path: Path | Store) -> Store:
    """*path*, a folder or a zip archive, as a store; SourceError where it is neither. A store is one already."""
    if not isinstance(path, Path):
        return path
    return Folder(path) if path.is_dir() else Zip(path)


@dataclass(frozen=True)
class Place:
    """The pictures whose names begin with *prefix* lie in *source*, with all, a part or none of the prefix, and with
    one of *tops* before it; *suffixes*: what a file may end with instead of what its name says."""

    source: str
    prefix: str = ""
    tops: tuple[str, ...] = ("",)
    suffixes: tuple[str, ...] = ()

    def members(self, name: str) -> list[str]:
        """Where *name* may lie in the source, the likeliest first."""
        parts = PurePosixPath(name).parts
        tails = ["/".join(parts[start:]) for start in range(self.prefix.count("/") + 1)]
        return [top + tail for tail in tails for top in self.tops]

    def respelt(self, name: str) -> list[str]:
        stem = name[: -len(PurePosixPath(name).suffix) or None]
        return [stem + suffix for ending in self.suffixes for suffix in (ending, ending.upper())]


@dataclass(frozen=True)
class Listed(Place):
    """A place whose pictures lie where a list says; lies: picture name -> member of the source."""

    lies: Mapping[str, str] = field(default_factory=dict)

    def members(self, name: str) -> list[str]:
        return [self.lies[name]] if name in self.lies else []


class Pictures:
    """The pictures of a data set, by the names in its conversations."""

    def __init__(self, places: Sequence[Place], sources: Mapping[str, Path | Store]):
        self.places = places
        self._stores = {place.source: open_store(sources[place.source]) for place in places}

    def source(self, name: str) -> str:
        """The source that is to hold *name*; raises Unusable for a name of none."""
        return self._place(name).source

    def repairs(self, name: str) -> tuple[str, ...]:
        """What it takes to find *name*; raises Unusable where it is not there."""
        return () if self._member(name)[2] else (OTHER_SUFFIX,)

    def read(self, name: str) -> bytes:
        """The encoded picture *name*, decoded once to see that it can be; raises Unusable."""
        store, member, _ = self._member(name)
        if store.size(member) > LIMIT_BYTES:
            raise Unusable(TOO_LARGE)
        content = store.read(member)
        picture_format(content)
        return content

    def _place(self, name: str) -> Place:
        for place in self.places:
            if name.startswith(place.prefix):
                return place
        raise Unusable(UNPLACED)

    def _member(self, name: str) -> tuple[Store, str, bool]:
        """The store, the member in it, and whether that has the name's own suffix."""
        place = self._place(name)
        store = self._stores[place.source]
        for spelling in (name, *place.respelt(name)):
            for member in place.members(spelling):
                if member in store:
                    return store, member, spelling == name
        raise Unusable(MISSING)


def picture_format(content: bytes) -> str:
    """Pillow's name of the format; raises Unusable for what cannot be decoded to its end."""
    try:
        with Image.open(io.BytesIO(content)) as picture:
            picture.draft("L", (1, 1))  # a JPEG is decoded at an eighth of its size, all of its bytes all the same
            picture.load()
            return str(picture.format)
    except Exception as fault:  # a decoder may raise anything on broken bytes
        raise Unusable(UNREADABLE) from fault


def named_otherwise(name: str, content: bytes) -> bool:
    """Whether a picture's bytes are of another format than its name says; readers go by the bytes."""
    with Image.open(io.BytesIO(content)) as picture:
        return picture.format != FORMATS.get(PurePosixPath(name).suffix.lower(), picture.format)
