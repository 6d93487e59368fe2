"""Picture archives: one uncompressed tar and an index of where each picture's bytes lie, read by position.

A data set folder holds `images.tar` and `images.json` = {name: [offset, size, first 16 hex of the sha256]}. Several
names may point at the same bytes, so that a picture has one identity under every official path.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from steering.errors import DataError, nearest

Entry = tuple[int, int, str]
BLOCK = tarfile.BLOCKSIZE
UNREADABLE = (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError)


def write_images(folder: Path, items: Iterable[tuple[str, bytes]], aliases: Mapping[str, str] | None = None) -> None:
    """Write *items* (name, encoded picture) and further names of them (alias -> name) to *folder*.

    Equal input gives equal bytes. Both files appear whole or not at all; the index comes last.

    Raises DataError for a name given twice and for an alias of an unknown name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".images-") as aside:
        tar, index = Path(aside, "images.tar"), Path(aside, "images.json")
        entries = _write_tar(tar, items)
        _add_aliases(entries, aliases or {}, folder)
        index.write_text(json.dumps(entries, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
        (folder / "images.json").unlink(missing_ok=True)
        os.replace(tar, folder / "images.tar")
        os.replace(index, folder / "images.json")


def _write_tar(path: Path, items: Iterable[tuple[str, bytes]]) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in items:
            if name in entries:
                raise DataError(f"{path.name}: {name}: given twice; each picture name may occur once")
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
            offset = tar.offset - -(-len(content) // BLOCK) * BLOCK
            entries[name] = (offset, len(content), _short_sha256(content))
    return entries


def _add_aliases(entries: dict[str, Entry], aliases: Mapping[str, str], folder: Path) -> None:
    for alias, name in aliases.items():
        if name not in entries:
            raise DataError(f"{folder}: alias {alias}: no picture {name}; an alias names a picture of the archive")
        if alias in entries:
            raise DataError(f"{folder}: alias {alias}: given twice; each picture name may occur once")
        entries[alias] = entries[name]


def _short_sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


class ImageArchive:
    """The pictures of a data set folder, by name; opened on first use, so it may be pickled and forked."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self._entries: dict[str, Entry] | None = None
        self._file: io.FileIO | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "_entries": None, "_file": None}

    @property
    def path(self) -> Path:
        return self.folder / "images.tar"

    def names(self) -> list[str]:
        """All names, aliases included, in the order of writing."""
        return list(self._index())

    def __contains__(self, name: object) -> bool:
        return name in self._index()

    def identity(self, name: str) -> str:
        """16 hex digits that are the same for every name of the same bytes."""
        return self._entry(name)[2]

    def read(self, name: str) -> bytes:
        """The encoded picture; DataError where the archive no longer holds the bytes that were written."""
        offset, size, expected = self._entry(name)
        content = os.pread(self._handle().fileno(), size, offset)
        if _short_sha256(content) != expected:
            raise DataError(
                f"{self.path}: {name}: damaged ({len(content)} of {size} bytes, sha256 {_short_sha256(content)}...); "
                f"expected sha256 {expected}...; build the data set again"
            )
        return content

    def open(self, name: str) -> Image.Image:
        """The picture as RGB; DataError where it cannot be decoded."""
        content = self.read(name)
        try:
            with Image.open(io.BytesIO(content)) as picture:
                return picture.convert("RGB")
        except UNREADABLE as fault:
            raise DataError(
                f"{self.path}: {name}: not a readable picture ({fault}); allowed is what Pillow opens"
            ) from fault

    def _entry(self, name: str) -> Entry:
        index = self._index()
        if name not in index:
            raise DataError(f"{self.path}: {name}: no such picture{nearest(name, index)}; it holds {len(index)} names")
        return index[name]

    def _index(self) -> dict[str, Entry]:
        if self._entries is None:
            path = self.folder / "images.json"
            try:
                self._entries = json.loads(path.read_text(encoding="utf-8"))
            except FileNotFoundError as fault:
                raise DataError(f"{path}: not found; a data set folder holds images.tar and images.json") from fault
            except ValueError as fault:
                raise DataError(f"{path}: not valid JSON ({fault}); build the data set again") from fault
        return self._entries

    def _handle(self) -> io.FileIO:
        if self._file is None:
            try:
                self._file = io.FileIO(self.path)
            except FileNotFoundError as fault:
                raise DataError(
                    f"{self.path}: not found; a data set folder holds images.tar and images.json"
                ) from fault
        return self._file
