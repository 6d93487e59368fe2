"""metrics.jsonl, the history of a training run and the truth about it: one JSON object a line, safe to resume."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Self, TextIO

from steering.errors import SteeringError


class TrackingError(SteeringError):
    """The tracking server or database does not answer, or refuses; no result is lost, the files hold everything."""


class MetricsLog:
    """Append-only writer of metrics.jsonl: one JSON object a line, on the disk as soon as `log` returns.

    With *resume_step* = k every line after step k, and a last line cut off by a crash, is dropped before the first
    write (by a rename, so that a crash leaves the old file or the new one).
    """

    def __init__(self, path: Path, *, resume_step: int | None = None):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if resume_step is None and self.path.exists():
            resume_step = max((int(line["step"]) for line in read_metrics(self.path)), default=0)
        if resume_step is not None:
            _keep_until(self.path, resume_step)
        self._file: TextIO = self.path.open("a", encoding="utf-8")

    def log(self, step: int, **values: float) -> None:
        """Write one line for *step*; a value that is not finite is kept as the word JSON has for it in Python."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()

    def flush(self) -> None:
        """To the disk itself, so that no line of a step is younger than a checkpoint of it after a power cut."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl as dictionaries; a torn last line is left out, a torn line elsewhere is an error.

    Raises:
        TrackingError: a line that is not the last is no JSON object with a step.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [
        line for index, text in enumerate(lines) if (line := _line(path, index, text, last=index + 1 == len(lines)))
    ]


def _line(path: Path, index: int, text: str, *, last: bool) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except json.JSONDecodeError:
        line = None
    if isinstance(line, dict) and "step" in line:
        return line
    if last:
        return None
    raise TrackingError(f"{path}: line {index + 1}: found {text[:60]!r}; a JSON object with a step is allowed")


def _keep_until(path: Path, step: int) -> None:
    kept = [line for line in read_metrics(path) if int(line["step"]) <= step]
    fresh = path.with_name(f".{path.name}.fresh")
    with fresh.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in kept)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
