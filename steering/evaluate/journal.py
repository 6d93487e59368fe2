"""The lines of a prediction under way: appended and flushed to disk batch by batch, so that whole batches stay.

A line is a prediction record (steering.evaluate.scoring) with benchmark, split and picture, and with `context_cut`,
in tokens, where the model's window was too short for a context. An attempt that was killed leaves whole batches and
perhaps a torn one, which the next attempt cuts off; so its file is, byte for byte, that of an attempt that was not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

Named = tuple[str, str, str]
"""Benchmark, split and id: what a line says it answers."""
Item = TypeVar("Item")


def answered(line: Mapping[str, Any]) -> Named:
    """What a prediction record answers."""
    return line["benchmark"], line["split"], line["id"]


def append(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write the lines of one batch; they are on disk when this returns."""
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    with path.open("ab") as file:
        file.write(text.encode("utf-8"))
        file.flush()
        os.fsync(file.fileno())


def resume(
    path: Path,
    batches: Sequence[Item],
    names: Callable[[Item], Sequence[Any]],
    *,
    told: Callable[[Mapping[str, Any]], Any] = answered,
) -> int:
    """How many of *batches* are in *path* as a whole, from the first on; whatever follows them is cut off.

    names(batch) are those of its lines, in order, as told(line) gives them.
    """
    path.touch()
    lines = path.read_bytes().split(b"\n")[:-1]  # what no newline ends is torn
    done = kept = 0
    for batch in batches:
        wanted = list(names(batch))
        if [_named(line, told) for line in lines[kept : kept + len(wanted)]] != wanted:
            break
        done, kept = done + 1, kept + len(wanted)
    os.truncate(path, sum(len(line) + 1 for line in lines[:kept]))
    return done


def _named(line: bytes, told: Callable[[Mapping[str, Any]], Any]) -> Any:
    """The name of a line; None for what is no record."""
    try:
        return told(json.loads(line))
    except (ValueError, KeyError, TypeError):
        return None
