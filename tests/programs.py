"""Stand-ins for programs on PATH: each notes how it was called and says what a test wants."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

SCRIPT = """#!/usr/bin/env python3
import json, sys
from pathlib import Path
here = Path(__file__).resolve()
with here.with_suffix(".calls").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
told = json.loads(here.with_suffix(".answers").read_text())
answer = told.pop(0) if len(told) > 1 else told[0]
here.with_suffix(".answers").write_text(json.dumps(told))
sys.stdout.write(answer["stdout"])
sys.stderr.write(answer.get("stderr", ""))
sys.exit(answer.get("code", 0))
"""


class Program:
    """A program NAME that gives *answers* one after the other, the last of them for ever."""

    def __init__(self, folder: Path, name: str, answers: Sequence[dict]):
        self.path = folder / name
        self.path.write_text(SCRIPT)
        self.path.chmod(0o755)
        self.path.with_suffix(".answers").write_text(json.dumps(list(answers)))

    @property
    def calls(self) -> list[list[str]]:
        """The words of each call."""
        noted = self.path.with_suffix(".calls")
        return [json.loads(line) for line in noted.read_text().splitlines()] if noted.exists() else []


def in_front(folder: Path) -> str:
    """A PATH on which *folder* comes first."""
    return os.pathsep.join([str(folder), os.environ.get("PATH", "")])
