"""Where the judge is, how it is asked, and the official text it reads first."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from steering.errors import DataError, ParamsError, SteeringError


class JudgeError(SteeringError):
    """The judge cannot be asked at all: no key, or a cache that is none."""


@dataclass(frozen=True)
class JudgeSettings:
    """url: up to and with /v1; key_variable: the NAME of the key's environment variable, None for a free endpoint.

    parameters are sent with every request and go before a benchmark's own; None takes one of those away.
    Raises ParamsError with all faults at once.
    """

    url: str
    model: str
    key_variable: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    parallel: int = 4
    timeout_seconds: float = 60
    tries: int = 5
    pause_seconds: float = 1
    longest_pause_seconds: float = 60

    def __post_init__(self) -> None:
        least = {"parallel": 1, "tries": 1, "timeout_seconds": 0.01, "pause_seconds": 0, "longest_pause_seconds": 0}
        faults = [f"judge.{name}: {getattr(self, name)!r}; allowed is {low} and more" for name, low in least.items()
                  if not getattr(self, name) >= low]  # fmt: skip
        faults += [f"judge.url: {why}" for why in _url_faults(self.url)]
        if not self.model:
            faults.append("judge.model: empty; allowed is a name that the endpoint knows")
        if self.key_variable is not None and not self.key_variable.isidentifier():
            faults.append("judge.key_variable: not a variable's name; it takes the NAME of one, never the key itself")
        if faults:
            raise ParamsError(faults)

    def key(self) -> str:
        """The key itself, empty for a free endpoint; raises JudgeError that names the variable and never its value."""
        if self.key_variable is None:
            return ""
        key = os.environ.get(self.key_variable, "").strip()
        if not key or not key.isascii() or not key.isprintable():
            what = "holds characters that no key has" if key else "is not set"
            raise JudgeError(f"judge.key_variable: {self.key_variable} {what}; put the endpoint's key there")
        return key


def _url_faults(url: str) -> Iterable[str]:
    try:
        parts, _ = urlsplit(url), urlsplit(url).port
    except ValueError as fault:
        yield f"{fault}; allowed are http://host/… and https://host/…"
        return
    if parts.scheme not in ("http", "https") or not parts.hostname:
        yield f"{parts.scheme or 'nothing'}://…; allowed are http://host/… and https://host/…"
    if parts.username or parts.password or parts.query or parts.fragment:
        yield "holds credentials, a query or a fragment; allowed is the bare address, the key goes into a variable"


@dataclass(frozen=True)
class JudgePrompt:
    """The official text that a judge reads first, as it was handed in."""

    text: str
    sha256: str


def read_prompt(path: Path, *, sha256: str | None = None) -> JudgePrompt:
    """The prompt in *path*, less its last line breaks; DataError where it is missing, empty or not of *sha256*."""
    try:
        content = path.read_bytes()
        text = content.decode().replace("\r\n", "\n").rstrip("\n")
    except (OSError, UnicodeDecodeError):
        raise DataError(f"{path}: no readable text; it takes the official judge's prompt, handed in as UTF-8") from None
    found = hashlib.sha256(content).hexdigest()
    if not text.strip() or found != (sha256 or found):
        raise DataError(f"{path}: {len(content)} bytes with sha256 {found}; allowed is {sha256 or 'a text'}")
    return JudgePrompt(text, found)
