"""One URL into one part file, in spans side by side, across dropped connections, busy servers and killed processes."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import IO, TypeVar

import requests
from urllib3.exceptions import HTTPError

from steering.data.sources.asking import Broken, Patience, ask, content_range, look, new_session, validator_of
from steering.data.sources.spans import Part, Remote, Span, forget, resumed
from steering.data.sources.wording import gigabytes, without_credentials
from steering.errors import SourceError
from steering.progress import progress

Result = TypeVar("Result")
CHUNK_BYTES = 1 << 18
ENOUGH_BYTES = 1 << 14
SAVE_SECONDS = 2.0
WATCH_SECONDS = 0.2
MIB = 1 << 20
PATIENCE = Patience()


class Changed(Exception):
    """The server answered with other bytes than the span asked for."""


class Unreached(SourceError):
    """Patience with a server is at its end; what came so far is kept."""


def bring(url: str, part_path: Path, *, name: str, size: int | None, parts: int | None, checked: bool) -> bool:
    """Fetch *url* into *part_path*, on from where an earlier attempt ended; True if the file was joined from pieces.

    size: the length it must have, where known. Raises SourceError; what came so far is kept for the next attempt.
    """
    with new_session() as session:
        remote = _patiently(lambda: look(session, url, name, PATIENCE), threading.Event(), lambda: 0)
    _check_size(remote, size)
    for ranges in (remote.ranges, False):  # the second: whole, where ranges turned out to be of another file
        part = resumed(part_path, replace(remote, ranges=ranges), parts=parts, checked=checked)
        _check_space(part)
        try:
            _Crew(part, name).run()
            return part.joined
        except Changed as fault:
            forget(part_path)
            reason = str(fault)
    raise SourceError(f"{reason}; the file may be changing there: run again later")


def _check_size(remote: Remote, size: int | None) -> None:
    if size is not None and remote.size is not None and size != remote.size:
        raise SourceError(f"it has {remote.size:,} bytes; expected {size:,}")


def _check_space(part: Part) -> None:
    needed = (part.remote.size or 0) - part.done
    free = shutil.disk_usage(part.path.parent).free
    if needed > free:
        raise SourceError(
            f"{gigabytes(needed)} to fetch, {gigabytes(free)} free at {part.path.parent}; "
            "free space, or link the folder to a larger disk"
        )


def _patiently(step: Callable[[], Result], stop: threading.Event, here: Callable[[], int]) -> Result:
    """What *step* gives, tried again while the server may do better; *here* counts bytes, and news renews patience."""
    tried, best = 0, here()
    while True:
        try:
            return step()
        except Broken as fault:
            tried, best = (0, here()) if here() - best >= ENOUGH_BYTES else (tried, best)
            tried += 1
            if tried >= PATIENCE.attempts or stop.is_set():
                raise Unreached(
                    f"{fault}, {tried} times; check the network, then run again: what came is kept"
                ) from fault
            asked = PATIENCE.first_wait_seconds * 2 ** (tried - 1) if fault.wait_seconds is None else fault.wait_seconds
            stop.wait(min(PATIENCE.longest_wait_seconds, asked))


class _Crew:
    """The threads that fill the spans of one part; a span that fails for good is left to those that get through."""

    def __init__(self, part: Part, name: str):
        self.part, self.name = part, name
        self.waiting = [span for span in part.spans if not span.finished]
        self.active = len(self.waiting)
        self.lock, self.stop, self.idle = threading.Lock(), threading.Event(), threading.Event()
        self.fault: Exception | None = None

    def run(self) -> None:
        """Fill all spans; what came is written down, whatever ends it."""
        threads = [threading.Thread(target=self._work, daemon=True) for _ in self.waiting]
        if not threads:
            self.idle.set()
        start = self.part.done // MIB
        for thread in threads:
            thread.start()
        try:
            for _ in progress(self._mebibytes(start), f"{self.name}, MiB", start=start):
                pass
            for thread in threads:
                thread.join()
        finally:
            self.stop.set()
            self.part.save()
        if self.fault:
            raise self.fault

    def _mebibytes(self, start: int) -> Iterable[int]:
        size = self.part.remote.size
        return self._arriving(start) if size is None else _Counted(self._arriving(start), size // MIB - start)

    def _arriving(self, said: int) -> Iterator[int]:
        """One item for every MiB after the first *said*; the spans are written down meanwhile."""
        saved = time.monotonic()
        while not (idle := self.idle.wait(WATCH_SECONDS)) or said < self.part.done // MIB:
            for said in range(said + 1, self.part.done // MIB + 1):  # noqa: B020
                yield said
            if not idle and time.monotonic() - saved >= SAVE_SECONDS:
                self.part.save()
                saved = time.monotonic()

    def _work(self) -> None:
        """Fill spans until none waits; the last one at work tells the fault."""
        try:
            with new_session() as session:
                while (span := self._next()) and not self.stop.is_set():
                    self._fill(session, span)
        except Exception as fault:
            with self.lock:
                if not isinstance(fault, Unreached) or self.active == 1:
                    self.fault = self.fault or fault
                    self.stop.set()
        finally:
            with self.lock:
                self.active -= 1
                if not self.active:
                    self.idle.set()

    def _next(self) -> Span | None:
        with self.lock:
            return self.waiting.pop(0) if self.waiting else None

    def _fill(self, session: requests.Session, span: Span) -> None:
        try:
            _patiently(lambda: self._pull(session, span), self.stop, lambda: span.done)
        except Unreached:
            with self.lock:
                self.waiting.append(span)
            raise

    def _pull(self, session: requests.Session, span: Span) -> None:
        """One request for what *span* lacks."""
        remote = self.part.remote
        span.done = span.done if remote.ranges else 0
        self.part.joined |= span.done > 0
        with closing(ask(session, remote.url, _wanted(remote, span), PATIENCE)) as response:
            _check_answer(remote, span, response)
            with open(self.part.path, "r+b", buffering=0) as file:
                file.seek(span.at)
                self._pour(response, span, file)

    def _pour(self, response: requests.Response, span: Span, file: IO[bytes]) -> None:
        began, before = time.monotonic(), span.done
        while not self.stop.is_set() and (chunk := _read(response, span)):
            _write(file, chunk)
            span.done += len(chunk)
            if time.monotonic() - began >= PATIENCE.slow_seconds:
                if span.done - before < PATIENCE.slow_bytes:
                    raise Broken(f"only {span.done - before:,} bytes came in {PATIENCE.slow_seconds:.0f} seconds")
                began, before = time.monotonic(), span.done
        if self.stop.is_set():
            return
        if span.left:
            raise Broken(f"the connection ended after {span.at:,} of {span.end:,} bytes")
        span.finished = True


class _Counted:
    """Items with a length."""

    def __init__(self, items: Iterator[int], count: int):
        self.items, self.count = items, count

    def __iter__(self) -> Iterator[int]:
        return self.items

    def __len__(self) -> int:
        return self.count


def _wanted(remote: Remote, span: Span) -> dict[str, str]:
    """The headers that ask for what *span* lacks, of the file that was seen."""
    if not remote.ranges:
        return {}
    last = "" if span.end is None else span.end - 1
    condition = {"If-Range": remote.validator} if remote.validator else {}
    return {"Range": f"bytes={span.at}-{last}", **condition}


def _check_answer(remote: Remote, span: Span, response: requests.Response) -> None:
    """Raises Changed unless *response* brings the bytes that were asked for, of the file that was seen."""
    first, size = content_range(response)
    if not remote.ranges:
        if response.status_code != 200:
            raise Changed(f"answered {response.status_code} to a request for the whole file")
    elif response.status_code != 206 or first != span.at:
        raise Changed(f"answered {response.status_code} to a request for the bytes from {span.at:,}")
    elif size not in (None, remote.size) or validator_of(response) not in (None, remote.validator):
        raise Changed(f"the file changed while it was fetched ({remote.validator or remote.size})")


def _read(response: requests.Response, span: Span) -> bytes:
    """The next bytes of *span*, as they were sent; none at its end."""
    count = CHUNK_BYTES if span.left is None else min(CHUNK_BYTES, span.left)
    try:
        return response.raw.read1(count, decode_content=False) or b"" if count else b""
    except HTTPError as fault:
        raise Broken(
            f"the connection broke after {span.at:,} bytes ({without_credentials(str(fault))[:200]})"
        ) from fault


def _write(file: IO[bytes], chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        left = left[file.write(left) :]
