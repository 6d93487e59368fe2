"""Zip archives that are not trusted: what may be in one, and how its members reach the disk.

Refused by name: absolute paths, `..`, drive letters and backslashes, symbolic links, names given twice, names whose
encoding is not declared, and archives that declare more bytes than allowed.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from steering.errors import SourceError

LIMIT_BYTES = 8 << 30
UTF8_FLAG = 0x800


def open_zip(path: Path) -> zipfile.ZipFile:
    """*path* opened as a zip archive; SourceError where it is missing or no zip."""
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError as fault:
        raise SourceError(f"{path}: not found; fetch the source first") from fault
    except zipfile.BadZipFile as fault:
        raise SourceError(f"{path}: not a zip archive ({fault}); remove it and fetch again") from fault


def extract(
    archive_path: Path, destination: Path, patterns: Iterable[str] = ("*",), *, limit_bytes: int = LIMIT_BYTES
) -> list[Path]:
    """Write the members that match one of the glob *patterns* below *destination*; their paths, in archive order.

    Nothing is written where any member of the archive, asked for or not, is one that is refused. Raises SourceError.
    """
    with open_zip(archive_path) as archive:
        _refuse_dangerous(archive_path, archive.infolist())
        wanted = [
            m for m in archive.infolist() if not m.is_dir() and any(fnmatch.fnmatch(m.filename, p) for p in patterns)
        ]
        _refuse_large(archive_path, wanted, limit_bytes)
        return [_write(archive, member, destination) for member in wanted]


def _refuse_dangerous(archive_path: Path, members: Iterable[zipfile.ZipInfo]) -> None:
    seen: set[str] = set()
    for member in members:
        fault = _danger(member) or ("given twice" if member.filename in seen else None)
        if fault:
            raise SourceError(
                f"{archive_path}: {member.filename}: {fault}; allowed are plain files at relative paths, each once"
            )
        seen.add(member.filename)


def _danger(member: zipfile.ZipInfo) -> str | None:
    name = member.orig_filename
    if name.startswith("/") or "\\" in name or ":" in name.split("/")[0]:
        return "absolute or foreign path"
    if ".." in PurePosixPath(name).parts:
        return "path with .."
    if "\0" in name or (not name.isascii() and not member.flag_bits & UTF8_FLAG):
        return "name that is not UTF-8"
    kind = stat.S_IFMT(member.external_attr >> 16)
    return "link or special file" if kind not in (0, stat.S_IFREG, stat.S_IFDIR) else None


def _refuse_large(archive_path: Path, members: Iterable[zipfile.ZipInfo], limit_bytes: int) -> None:
    total = 0
    for member in members:
        total += member.file_size
        if total > limit_bytes:
            raise SourceError(
                f"{archive_path}: {member.filename}: unpacks to {total:,} bytes so far; allowed are {limit_bytes:,}"
            )


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, destination: Path) -> Path:
    """Write one member through a file beside it, so that it is there whole or not at all."""
    path = destination / member.filename
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=".extract-")
    try:
        with archive.open(member) as source, os.fdopen(handle, "wb") as target:
            shutil.copyfileobj(source, target)
        os.replace(aside, path)
    except zipfile.BadZipFile as fault:
        raise SourceError(
            f"{archive.filename}: {member.filename}: damaged ({fault}); remove the archive and fetch again"
        ) from fault
    finally:
        Path(aside).unlink(missing_ok=True)
    return path
