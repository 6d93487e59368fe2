"""What must come from Debian's packages: there, or the test is skipped with a reason; in CI it fails instead."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest


def needed(program: str, *, package: str, beside: Path | None = None) -> str:
    """The path of *program*, looked for on PATH and then in *beside*."""
    found = shutil.which(program) or shutil.which(program, path=str(beside or ""))
    if found:
        return found
    reason = f"{program}: not there; `apt-get install {package}` brings it"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
