"""A file that is half here: its bytes in NAME.part, and beside it which spans of it are already right.

The spans are written down only after their bytes are on the disk, so whatever ends the process loses a few seconds of
work and never counts a byte that is not there.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from steering.manifest import read_json, write_json

SPAN_BYTES = 256 << 20
MOST_SPANS = 4


@dataclass(frozen=True)
class Remote:
    """What a server says of a file: its length in bytes if known, its strong ETag or date, whether it gives ranges."""

    url: str
    size: int | None
    validator: str | None
    ranges: bool


@dataclass
class Span:
    """Bytes start <= i < end of the file, of which the first `done` are here; end None: as far as it goes."""

    start: int
    end: int | None
    done: int = 0
    finished: bool = False

    @property
    def at(self) -> int:
        return self.start + self.done

    @property
    def left(self) -> int | None:
        return None if self.end is None else self.end - self.at


@dataclass
class Part:
    """The spans of one file on their way into `path`."""

    path: Path
    remote: Remote
    spans: list[Span]
    joined: bool = False

    @property
    def done(self) -> int:
        return sum(span.done for span in self.spans)

    def save(self) -> None:
        """Write down the spans, their bytes first."""
        spans = [asdict(span) for span in self.spans]
        handle = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        write_json(told_beside(self.path), {"remote": asdict(self.remote), "spans": spans}, indent=None)


def told_beside(path: Path) -> Path:
    """Where the spans of the part at *path* are written down."""
    return path.with_name(f"{path.name}.json")


def forget(path: Path) -> None:
    """Remove the part at *path*."""
    told_beside(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def resumed(path: Path, remote: Remote, *, parts: int | None, checked: bool) -> Part:
    """The part at *path* as an earlier attempt left it, if the server still has the same file; else an empty one.

    parts: how many spans to fetch side by side, by the length where None. checked: a checksum will tell whether the
    joined file is right. `joined` says that the file is to be put together from more than one answer of a server.
    """
    earlier = _told(path, remote) if remote.ranges else None
    if earlier and _continues(earlier.remote, remote, checked):
        return Part(path, remote, earlier.spans, joined=earlier.done > 0 or len(earlier.spans) > 1)
    fresh = Part(path, remote, _divided(remote, parts))
    forget(path)
    fresh.joined = len(fresh.spans) > 1
    path.touch()
    return fresh


def _told(path: Path, remote: Remote) -> Part | None:
    """What was written down of the part; None where that is missing, damaged or of other bytes than are there."""
    try:
        told = read_json(told_beside(path))
        part = Part(path, Remote(**told["remote"]), [Span(**span) for span in told["spans"]])
        here = path.stat().st_size
    except (OSError, json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        return None
    return part if all(span.at <= here or not span.done for span in part.spans) else None


def _continues(earlier: Remote, now: Remote, checked: bool) -> bool:
    if earlier.size != now.size:
        return False
    if earlier.url == now.url and (earlier.validator or now.validator):
        return earlier.validator == now.validator
    return checked


def _divided(remote: Remote, parts: int | None) -> list[Span]:
    if not remote.ranges or remote.size is None:
        return [Span(0, remote.size)]
    count = parts or min(MOST_SPANS, 1 + remote.size // SPAN_BYTES)
    edges = [remote.size * number // count for number in range(count + 1)]
    return [Span(start, end) for start, end in zip(edges, edges[1:], strict=False) if end > start] or [Span(0, 0)]
