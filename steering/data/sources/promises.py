"""What the files of a source are to be: their lengths and checksums, as params.yaml states them or as recorded.

Where params.yaml states no checksum, the first fetch writes the file's sha256 and length into `checksums.json` beside
it, FOLDER/checksums.json = {"of": {...}, "files": {name: {"sha256", "bytes"}}}, and later fetches are held to it. The
file has no dates and no machine's paths: put it under version control to hold other machines to it too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steering.errors import SourceError
from steering.manifest import read_json, write_json

Source = Mapping[str, Any]
RECORD = "checksums.json"
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Promise:
    """One file: its path, its checksums (sha256, md5 or git's blob id -> hex digits) and its length in bytes.

    origin: "known" where params.yaml or a commit names the checksum, "recorded", or "none".
    """

    path: Path
    sums: Mapping[str, str] = field(default_factory=dict)
    bytes: int | None = None
    origin: str = "none"

    def fault(self, path: Path | None = None, *, read: bool = True) -> str | None:
        """Why the file (or the one at *path* that shall become it) is not what was promised; None where it is.

        read: False looks at the length alone.
        """
        path = path or self.path
        if not path.is_file():
            return "no file"
        got = path.stat().st_size
        faults = [] if self.bytes in (None, got) else [f"expected {self.bytes:,} bytes, got {got:,}"]
        found = sums_of(path, self.sums) if read else {}
        faults += [
            f"{name} expected {self.sums[name]}, got {sum}" for name, sum in found.items() if sum != self.sums[name]
        ]
        return "; ".join(faults) or None


def sums_of(path: Path, names: Mapping[str, str] | tuple[str, ...]) -> dict[str, str]:
    """Checksum name -> hex digits of the file's bytes, which are read once."""
    if not names:
        return {}
    digests = {name: _begun(name, path) for name in names}
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            for digest in digests.values():
                digest.update(chunk)
    return {name: digest.hexdigest() for name, digest in digests.items()}


def _begun(name: str, path: Path) -> Any:
    if name == "git":
        return hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    return hashlib.new(name, usedforsecurity=False)


def stated(source: Source) -> dict[str, str]:
    """The checksums that *source* states itself."""
    return {name: source[name].lower() for name in ("sha256", "md5") if source.get(name)}


def recorded(folder: Path) -> dict[str, Any]:
    """What the first fetch into *folder* recorded: {"of": what was fetched, "files": {name: {"sha256", "bytes"}}}."""
    try:
        told = read_json(folder / RECORD)
        return {"of": dict(told["of"]), "files": {name: dict(of) for name, of in told["files"].items()}}
    except FileNotFoundError:
        return {"of": {}, "files": {}}
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError, AttributeError) as fault:
        raise SourceError(
            f"{folder / RECORD}: damaged; allowed is what the first fetch wrote: restore it, or remove it to begin anew"
        ) from fault


def record(folder: Path, of: Mapping[str, Any], files: Mapping[str, Path]) -> None:
    """Write the sha256 and length of *files* (name -> path) into *folder*'s record, in place of what it said."""
    sums = {
        name: {"sha256": sums_of(path, ("sha256",))["sha256"], "bytes": path.stat().st_size}
        for name, path in files.items()
    }
    write_json(folder / RECORD, {"of": dict(of), "files": sums})
