"""Progress of long work: a bar in a terminal, a plain line every few seconds in a log, from the first process alone."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
LINE_SECONDS = 15


def progress(items: Iterable[Item], what: str, *, start: int = 0) -> Iterator[Item]:
    """Yield *items* (sized) and say how far along they are; *start* counts what an earlier attempt did."""
    total = start + len(items) if isinstance(items, Sized) else None
    if os.environ.get("RANK", "0") != "0":
        yield from items
    elif sys.stderr.isatty():
        yield from tqdm(items, desc=what, initial=start, total=total)
    else:
        yield from _lines(items, what, start=start, total=total)


def _lines(items: Iterable[Item], what: str, *, start: int, total: int | None) -> Iterator[Item]:
    began = said = time.monotonic()
    done = start
    for item in items:
        yield item
        done, now = done + 1, time.monotonic()
        if now - said >= LINE_SECONDS or done == total:
            each = (now - began) / (done - start)
            left = "" if total is None else f"/{total}, {each * (total - done):.0f} s left"
            print(f"{what}: {done}{left} ({each:.2f} s each)", file=sys.stderr, flush=True)
            said = now
