"""Pictures into tar shards with their index: whole or not at all, and the same bytes for the same pictures."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from PIL import Image

from steering.data.shards.index import IDENTITY_DIGITS, INDEX, Entry, Row, shard_name, write_index
from steering.errors import DataError

SHARD_BYTES = 1 << 30
END_BYTES = 2 * tarfile.BLOCKSIZE
"""What closes a tar, before it is filled up to a whole record."""

SHARDS = "images-*.tar"


def write_images(
    folder: Path,
    items: Iterable[tuple[str, bytes]],
    aliases: Mapping[str, str] | None = None,
    *,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write *items* (name, encoded picture) and further names of them (alias -> name) to *folder*.

    A shard takes pictures up to *shard_bytes*, its tar's own bytes included; one that is larger has a shard alone.
    Equal input gives equal bytes. All files appear whole or not at all; the index comes last.

    Raises DataError for a name given twice and for an alias of an unknown name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".images-") as name:
        aside = Path(name)
        rows = _write_shards(aside, items, folder, shard_bytes)
        _add_aliases(rows, aliases or {}, folder)
        write_index(aside / INDEX, list(rows), list(rows.values()))
        _put(aside, folder)


def _put(aside: Path, folder: Path) -> None:
    """Former shards go, for a reader takes no shard for another's; without an index there is no archive meanwhile."""
    (folder / INDEX).unlink(missing_ok=True)
    for former in folder.glob(SHARDS):
        former.unlink()
    for shard in sorted(aside.glob(SHARDS)):
        os.replace(shard, folder / shard.name)
    os.replace(aside / INDEX, folder / INDEX)


def _write_shards(aside: Path, items: Iterable[tuple[str, bytes]], folder: Path, shard_bytes: int) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    with Shards(aside, shard_bytes) as shards:
        for name, content in _once(items, rows, folder):
            shard, offset = shards.add(name, content)
            rows[name] = Row(Entry(shard, offset, len(content), identity_of(content)), _look(content))
    return rows


def _once(items: Iterable[tuple[str, bytes]], rows: Mapping[str, Row], folder: Path) -> Iterator[tuple[str, bytes]]:
    for name, content in items:
        if name in rows:
            raise DataError(f"{folder}: {name}: given twice; each picture name may occur once")
        yield name, content


class Shards:
    """Tars of a folder, one after the other, each up to *most* bytes."""

    def __init__(self, folder: Path, most: int):
        self.folder, self.most = folder, most
        self._tar: tarfile.TarFile | None = None
        self._number = -1

    def __enter__(self) -> Shards:
        return self

    def __exit__(self, *_: object) -> None:
        if self._tar is not None:
            self._tar.close()

    def add(self, name: str, content: bytes) -> tuple[int, int]:
        """The number of the shard and the offset of *content* in it."""
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar = self._fitting(member)
        tar.addfile(member, io.BytesIO(content))
        return self._number, tar.offset - _blocks(len(content))

    def _fitting(self, member: tarfile.TarInfo) -> tarfile.TarFile:
        head = len(member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        if self._tar is not None and _closed(self._tar.offset + head + _blocks(member.size)) <= self.most:
            return self._tar
        if self._tar is not None:
            self._tar.close()
        self._number += 1
        self._tar = tarfile.open(  # noqa: SIM115 - closed by the next shard or __exit__
            self.folder / shard_name(self._number), "w", format=tarfile.PAX_FORMAT, encoding="utf-8"
        )
        return self._tar


def _blocks(count: int) -> int:
    """*count* bytes as a tar has them: in whole blocks."""
    return -(-count // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _closed(count: int) -> int:
    """The size of a tar with *count* bytes of members."""
    return -(-(count + END_BYTES) // tarfile.RECORDSIZE) * tarfile.RECORDSIZE


def _add_aliases(rows: dict[str, Row], aliases: Mapping[str, str], folder: Path) -> None:
    for alias, name in aliases.items():
        if name not in rows:
            raise DataError(f"{folder}: alias {alias}: no picture {name}; an alias names a picture of the archive")
        if alias in rows:
            raise DataError(f"{folder}: alias {alias}: given twice; each picture name may occur once")
        rows[alias] = rows[name]


def identity_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:IDENTITY_DIGITS]


def _look(content: bytes) -> tuple[str, int, int] | tuple[None, None, None]:
    """Format, width and height by the head; the picture check decodes the rest."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content)) as picture:
            return str(picture.format), picture.width, picture.height
    except Exception:  # a decoder may raise anything on broken bytes
        return None, None, None
