"""Reading a picture archive: any picture by its name, checked against the bytes that were written."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from steering.data.shards.index import INDEX, Entry, Index, shard_name
from steering.data.shards.writing import identity_of
from steering.errors import DataError

UNREADABLE = (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError)
MOST_OPEN = 64
"""Shards that are open at once."""

BYTE = 255


class ImageArchive:
    """The pictures of a data set folder, by name; opened on first use, so it may be pickled and forked."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self._opened: Index | None = None
        self._files: dict[int, io.FileIO] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "_opened": None, "_files": {}}

    def names(self) -> list[str]:
        """All names, aliases included, in the order of writing."""
        return self._index.names()

    def distinct(self) -> list[str]:
        """The first name of each distinct picture, in the order of writing."""
        return self._index.distinct()

    def __contains__(self, name: object) -> bool:
        return name in self._index

    def identity(self, name: str) -> str:
        """16 hex digits that are the same for every name of the same bytes."""
        return self._entry(name).identity

    def read(self, name: str) -> bytes:
        """The encoded picture; DataError where the archive no longer holds the bytes that were written."""
        entry = self._entry(name)
        content = os.pread(self._file(entry.shard).fileno(), entry.bytes, entry.offset)
        if identity_of(content) != entry.identity:
            raise DataError(
                f"{self._shard(entry)}: {name}: damaged ({len(content)} of {entry.bytes} bytes, sha256 "
                f"{identity_of(content)}...); expected sha256 {entry.identity}...; build the data set again"
            )
        return content

    def open(self, name: str) -> Image.Image:
        """The picture as RGB; DataError where it cannot be decoded.

        As the papers' code has it (LLaVA: Pillow's open and convert("RGB")): the first frame of several, transparency
        dropped, CMYK converted without its colour profile, and no turning by the EXIF orientation. Where that code
        clips grey values of 16 bits, which makes all but the darkest white, the upper 8 are taken.
        """
        content = self.read(name)
        try:
            with Image.open(io.BytesIO(content)) as picture:
                return as_rgb(picture)
        except UNREADABLE as fault:
            raise DataError(
                f"{self._shard(self._entry(name))}: {name}: not a readable picture ({fault}); "
                "allowed is what Pillow opens"
            ) from fault

    def _entry(self, name: str) -> Entry:
        return self._index[name]

    def _shard(self, entry: Entry) -> Path:
        return self.folder / shard_name(entry.shard)

    @property
    def _index(self) -> Index:
        if self._opened is None:
            self._opened = Index(self.folder / INDEX)
        return self._opened

    def _file(self, shard: int) -> io.FileIO:
        if shard not in self._files:
            if len(self._files) == MOST_OPEN:
                self._files.pop(next(iter(self._files))).close()
            path = self.folder / shard_name(shard)
            try:
                self._files[shard] = io.FileIO(path)
            except FileNotFoundError as fault:
                raise DataError(
                    f"{path}: not found, though {INDEX} has pictures there; build the data set again"
                ) from fault
        return self._files[shard]


def as_rgb(picture: Image.Image) -> Image.Image:
    """*picture* decoded, 8 bits a channel; of wider grey values the upper 8 of 16 bits."""
    if picture.mode.startswith("I"):
        levels = np.asarray(picture).astype(np.int64)
        if picture.mode != "I" or levels.max() > BYTE:
            levels = levels >> 8
        picture = Image.fromarray(levels.clip(0, BYTE).astype(np.uint8))
    return picture.convert("RGB")
