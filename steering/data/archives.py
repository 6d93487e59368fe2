"""Zip and tar archives that are not trusted: what may be in one, and how its members are read or reach the disk.

Refused by name: absolute paths, `..`, drive letters and backslashes, links and special files, names given twice, names
whose encoding is not declared, archives that unpack to more bytes than allowed, and archives that unpack to more than
LIMIT_RATIO times their own size once that is over RATIO_FROM_BYTES. A tar may be plain or packed by gzip, bzip2 or xz.
"""

from __future__ import annotations

import fnmatch
import lzma
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from steering.errors import SourceError, nearest

LIMIT_BYTES = 8 << 30
LIMIT_RATIO = 200
RATIO_FROM_BYTES = 64 << 20
UTF8_FLAG = 0x800
CHUNK_BYTES = 1 << 20
ZIP_BEGINNINGS = (b"PK\x03\x04", b"PK\x05\x06")
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError)


@dataclass(frozen=True)
class Member:
    """One entry of an archive; `fault` says why it is refused, `open` gives its bytes."""

    name: str
    size: int
    folder: bool
    fault: str | None
    open: Callable[[], IO[bytes] | None]


def open_zip(path: Path) -> zipfile.ZipFile:
    """*path* opened as a zip archive; SourceError where it is missing or no zip."""
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError as fault:
        raise SourceError(f"{path}: not found; fetch the source first") from fault
    except zipfile.BadZipFile as fault:
        raise SourceError(f"{path}: not a zip archive ({fault}); remove it and fetch again") from fault


def member_names(path: Path) -> list[str]:
    """The names of the files in a zip archive, a wheel for instance."""
    with open_zip(path) as archive:
        return [name for name in archive.namelist() if not name.endswith("/")]


def read_member(path: Path, name: str) -> bytes:
    """The bytes of one file in a zip archive; SourceError where it is not there."""
    return read_members(path, [name])[name]


def read_members(path: Path, names: Iterable[str]) -> dict[str, bytes]:
    """The bytes of several files in a zip archive, which is opened once; name -> bytes in the order of *names*."""
    with open_zip(path) as archive:
        there = set(archive.namelist())
        contents: dict[str, bytes] = {}
        for name in names:
            if name not in there:
                raise SourceError(
                    f"{path}: {name}: no such member{nearest(name, there)}; it holds {len(there)} members"
                )
            contents[name] = archive.read(name)
        return contents


def extract(
    archive_path: Path,
    destination: Path,
    patterns: Iterable[str] = ("*",),
    *,
    limit_bytes: int = LIMIT_BYTES,
    limit_ratio: float = LIMIT_RATIO,
) -> list[Path]:
    """Write the members that match one of the glob *patterns* below *destination*; their paths, in archive order.

    Nothing is written where any member of the archive, asked for or not, is one that is refused. limit_bytes: what the
    members asked for may unpack to; limit_ratio: that, by the archive's own bytes. Raises SourceError.
    """
    patterns = list(patterns)
    limits = _Limits(archive_path, limit_bytes, limit_ratio)
    with _members(archive_path) as members:
        _check(archive_path, members(), patterns, limits)
        return [_write(archive_path, member, destination) for member in members() if _wanted(member, patterns)]


def _wanted(member: Member, patterns: list[str]) -> bool:
    return not member.folder and any(fnmatch.fnmatch(member.name, pattern) for pattern in patterns)


@contextmanager
def _members(path: Path) -> Iterator[Callable[[], Iterator[Member]]]:
    """What reads the archive's entries from the front, as often as it is called."""
    if _beginning(path) in ZIP_BEGINNINGS:
        with open_zip(path) as archive:
            yield lambda: _zip_members(archive)
        return
    try:
        tar = tarfile.open(path, "r:*", encoding="utf-8")  # noqa: SIM115  closed below
    except (*DAMAGED, OSError) as fault:
        raise SourceError(f"{path}: neither a zip nor a tar archive; remove it and fetch again") from fault
    with tar:
        yield lambda: _tar_members(path, tar)


def _beginning(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(4)
    except FileNotFoundError as fault:
        raise SourceError(f"{path}: not found; fetch the source first") from fault


def _zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    for info in archive.infolist():
        yield Member(info.filename, info.file_size, info.is_dir(), _zip_fault(info), partial(archive.open, info))


def _tar_members(path: Path, tar: tarfile.TarFile) -> Iterator[Member]:
    with _damage(path, "its entries"):
        for info in tar:
            plain = info.isdir() or (info.isreg() and not info.issparse())
            fault = _name_fault(info.name) or (None if plain else "link or special file")
            yield Member(info.name, info.size, info.isdir(), fault, partial(tar.extractfile, info))


def _zip_fault(info: zipfile.ZipInfo) -> str | None:
    name = info.orig_filename
    if not name.isascii() and not info.flag_bits & UTF8_FLAG:
        return "name that is not UTF-8"
    kind = stat.S_IFMT(info.external_attr >> 16)
    odd = "link or special file" if kind not in (0, stat.S_IFREG, stat.S_IFDIR) else None
    return _name_fault(name) or odd


def _name_fault(name: str) -> str | None:
    if name.startswith("/") or "\\" in name or ":" in name.split("/")[0]:
        return "absolute or foreign path"
    if ".." in PurePosixPath(name).parts:
        return "path with .."
    if "\0" in name or any("\ud800" <= letter <= "\udfff" for letter in name):
        return "name that is not UTF-8"
    return None


@dataclass
class _Limits:
    """The bytes that may come out of one archive, counted as its entries are read."""

    path: Path
    bytes: int
    ratio: float
    total: int = 0

    def count(self, member: Member) -> None:
        self.total += member.size
        so_far = f"{self.path}: {member.name}: unpacks to {self.total:,} bytes so far"
        if self.total > self.bytes:
            raise SourceError(f"{so_far}; allowed are {self.bytes:,}")
        packed = self.path.stat().st_size
        if self.total > max(RATIO_FROM_BYTES, self.ratio * packed):
            raise SourceError(f"{so_far}, the archive has {packed:,}; allowed are {self.ratio:g} times as many")


def _check(path: Path, members: Iterable[Member], patterns: list[str], limits: _Limits) -> None:
    seen: set[PurePosixPath] = set()
    for member in members:
        place = PurePosixPath(member.name)
        fault = member.fault or ("given twice" if place in seen else None)
        fault = fault or ("below a member that is a file" if seen.intersection(place.parents) else None)
        if fault:
            raise SourceError(f"{path}: {member.name}: {fault}; allowed are plain files at relative paths, each once")
        if not member.folder:
            seen.add(place)
        if _wanted(member, patterns):
            limits.count(member)


@contextmanager
def _damage(path: Path, name: str) -> Iterator[None]:
    try:
        yield
    except DAMAGED as fault:
        raise SourceError(f"{path}: {name}: damaged ({fault}); remove the archive and fetch again") from fault


def _write(archive_path: Path, member: Member, destination: Path) -> Path:
    """Write one member through a file beside it, so that it is there whole or not at all."""
    path = destination / member.name
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=".extract-")
    try:
        target: IO[bytes]
        with os.fdopen(handle, "wb") as target, _damage(archive_path, member.name):
            source = member.open()
            assert source is not None, f"{member.name}: no bytes behind a plain file"
            with source:
                shutil.copyfileobj(source, target, CHUNK_BYTES)
        os.replace(aside, path)
    finally:
        Path(aside).unlink(missing_ok=True)
    return path
