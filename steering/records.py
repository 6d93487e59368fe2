"""What Snakemake itself noted of an output: the slice it was made from, and whether its inputs are still the same."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

from steering.manifest import read_json, sha256_file

RECORDS = Path(".snakemake") / "metadata"


def recorded(output: Path) -> str | None:
    """The digest of the slice that Snakemake made *output* from; None where an input has changed since.

    A rule's only parameter is the path of its slice, which its digest names.
    """
    try:
        told = read_json(RECORDS / urlsafe_b64encode(str(output).encode()).decode())
        (slice_path,) = told["params"]
        changed = any(_changed(Path(name), told, output) for name in told["input"])
    except (OSError, KeyError, TypeError, ValueError):  # no record, or that of another version of Snakemake
        return None
    return None if changed or told.get("incomplete") else Path(slice_path.strip("'")).stem


def _changed(path: Path, told: dict[str, Any], output: Path) -> bool:
    """By checksum where Snakemake noted one, else by time."""
    known = told.get("input_checksums", {}).get(str(path))
    if known:
        return known != f"sha256:{sha256_file(path)}"
    return path.stat().st_mtime > output.stat().st_mtime
