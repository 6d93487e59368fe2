"""Ways to keep many small pictures on a disk, and the pictures themselves: what benchmarks.storage compares.

shards: ours, which checks each picture's sha256 as it is read; the others check nothing.
files:  a file for each picture, a thousand to a folder: the floor, and what the published data come as.
tar:    one tar, read by Python's tarfile, which has to see every head before it knows where a name lies.
sqlite: a table of names and bytes.
"""

from __future__ import annotations

import io
import sqlite3
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
from PIL import Image

from steering.data.shards import ImageArchive, write_images

Items = Iterable[tuple[str, bytes]]
Read = Callable[[str], bytes]

DISTINCT = 256
"""JPEGs that are made; the others are these with another comment, for making them is no part of any store."""
PER_FOLDER = 1000
COMMENT = b"\xff\xfe"


@dataclass(frozen=True)
class Store:
    """write the pictures to a folder; open it as a function from a name to its bytes."""

    write: Callable[[Path, Items], None]
    open: Callable[[Path], Read]


def picture_name(number: int) -> str:
    return f"train/{number // PER_FOLDER:04d}/{number:08d}.jpg"


def pictures(count: int, *, side: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """*count* JPEGs of *side* pixels squared with names, all of them different: smooth noise, as photographs are."""
    kinds = [_jpeg(side, np.random.default_rng([seed, kind])) for kind in range(min(DISTINCT, count))]
    for number in range(count):
        yield picture_name(number), _commented(kinds[number % len(kinds)], f"{number}".encode())


def _jpeg(side: int, random: np.random.Generator) -> bytes:
    coarse = random.integers(0, 256, (side // 8 + 1, side // 8 + 1, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _commented(jpeg: bytes, comment: bytes) -> bytes:
    """*jpeg* with *comment* behind its first marker."""
    return jpeg[:2] + COMMENT + (len(comment) + 2).to_bytes(2) + comment + jpeg[2:]


def _write_files(folder: Path, items: Items) -> None:
    for name, content in items:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _open_files(folder: Path) -> Read:
    return lambda name: (folder / name).read_bytes()


def _write_tar(folder: Path, items: Items) -> None:
    folder.mkdir()
    with tarfile.open(folder / "all.tar", "w") as tar:
        for name, content in items:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def _open_tar(folder: Path) -> Read:
    tar = tarfile.open(folder / "all.tar")  # noqa: SIM115 - read from until the benchmark ends
    members = {member.name: member for member in tar}
    return lambda name: cast(IO[bytes], tar.extractfile(members[name])).read()


def _write_sqlite(folder: Path, items: Items) -> None:
    folder.mkdir()
    with sqlite3.connect(folder / "all.db") as database:
        database.execute("create table pictures (name text primary key, content blob not null)")
        database.executemany("insert into pictures values (?, ?)", items)
    database.close()


def _open_sqlite(folder: Path) -> Read:
    database = sqlite3.connect(folder / "all.db")
    return lambda name: database.execute("select content from pictures where name = ?", (name,)).fetchone()[0]


STORES = {
    "shards": Store(write_images, lambda folder: ImageArchive(folder).read),
    "files": Store(_write_files, _open_files),
    "tar": Store(_write_tar, _open_tar),
    "sqlite": Store(_write_sqlite, _open_sqlite),
}
BASE = "files"
