"""Provenance and safe writing: what made a file, from what, with what; and files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from steering.slurm import own_slurm_job

PACKAGES = ("torch", "transformers", "peft", "snakemake", "mlflow", "dvc", "numpy")


def sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any) -> str:
    """16 hex digits that name *value* (plain builtins), whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def folder_digest(paths: Iterable[Path]) -> dict[str, str]:
    """sha256 of each file, by its path as given."""
    return {str(path): sha256_file(path) for path in sorted(paths)}


def flush_to_disk(folder: Path) -> None:
    """fsync every file of *folder* and the folder itself, so that a rename after it survives a power cut."""
    for path in (*folder.iterdir(), folder):
        flush_entry(path)


def flush_entry(path: Path) -> None:
    """fsync a file's content, or a folder's list of names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary path beside *path* that replaces it when the block ends well, and vanishes when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        aside.chmod(0o644)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def write_json(path: Path, value: Any, *, indent: int | None = 1) -> None:
    with whole(path) as aside:
        aside.write_text(json.dumps(value, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def commit() -> str:
    """The git commit of the code, with "+" when files have changed since; "unknown" outside a checkout."""
    root = Path(__file__).resolve().parent.parent
    described = subprocess.run(
        ["git", "describe", "--always", "--abbrev=12", "--dirty=+"], cwd=root, capture_output=True, text=True
    )
    return described.stdout.strip() or "unknown"


def code_digest() -> str:
    """One digest over the library's and the stages' source files."""
    root = Path(__file__).resolve().parent.parent
    files = sorted([*root.glob("steering/**/*.py"), *root.glob("stages/*.py")])
    return digest({str(path.relative_to(root)): sha256_file(path) for path in files})


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def peak_memory_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def machine() -> dict[str, str]:
    """Where this runs: the host, and the SLURM job where there is one."""
    job = own_slurm_job()
    return {"host": platform.node(), **({"slurm_job": job} if job else {})}


def provenance(*, kind: str, started: str, runtime_seconds: float, inputs: Mapping[str, str]) -> dict[str, Any]:
    """What every manifest tells: kind, code, versions, machine, time and memory, inputs by sha256."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "kind": kind,
        "commit": commit(),
        "code": code_digest(),
        "versions": {"python": platform.python_version(), **versions},
        "command": " ".join(sys.argv[1:]),
        **machine(),
        "started": started,
        "finished": now(),
        "runtime_seconds": round(runtime_seconds, 2),
        "peak_memory_bytes": peak_memory_bytes(),
        "inputs": dict(inputs),
    }
