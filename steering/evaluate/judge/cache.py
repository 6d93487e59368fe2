"""The judge's replies on disk, appended as JSON lines, safe against a kill."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steering.evaluate.judge.settings import JudgeError

RECORD = ("key", "model", "parameters", "temperature", "prediction", "reply", "served_by", "date")
OPENING = '{"key": "'


class Cache:
    """The replies in a file of JSON lines; a line that a kill cut short is passed over and its question asked anew."""

    def __init__(self, path: Path):
        self.path, self._lock = path, threading.Lock()
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []
        except OSError as fault:
            raise JudgeError(f"{path}: cannot be read: {fault.strerror}") from None
        found = [record for n, line in enumerate(lines, start=1) if (record := self._record(line, n)) is not None]
        self.records: dict[str, Mapping[str, Any]] = {record["key"]: record for record in found}

    def _record(self, line: str, number: int) -> dict[str, Any] | None:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            record = None
            if line.startswith(OPENING[: len(line)]):
                return None
        if not isinstance(record, dict) or not all(name in record for name in RECORD):
            raise JudgeError(f"{self.path}:{number}: no judge's reply; the cache takes a file of its own")
        return record

    def append(self, record: Mapping[str, Any]) -> None:
        """One write and one sync, so that a kill cuts at most the last line; a cut one before it is closed first."""
        line = (json.dumps(record) + "\n").encode("ascii")
        try:
            with self._lock, self._opened() as file:
                if file.seek(0, os.SEEK_END):
                    file.seek(-1, os.SEEK_END)
                    line = line if file.read(1) == b"\n" else b"\n" + line
                file.write(line)
                os.fsync(file.fileno())
        except OSError as fault:
            raise JudgeError(f"{self.path}: cannot be written: {fault.strerror}") from None

    def _opened(self) -> Any:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self.path.open("a+b", buffering=0)
