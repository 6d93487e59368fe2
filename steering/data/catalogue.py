"""What is here of a world's sources, and what it would take to fetch the rest: a table, or the same as JSON.

state: here, missing, or damaged (another length or checksum than promised). checksum: known (params.yaml or a commit
names it), recorded (by the first fetch), or none. Lengths alone are looked at unless the bytes are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from steering.data.sources import Source, kind_of, label
from steering.data.sources.manual import by_hand
from steering.data.sources.promises import stated

State = Literal["here", "missing", "damaged"]
COLUMNS = ("source", "kind", "licence", "size", "checksum", "state")


@dataclass(frozen=True)
class Row:
    """One source; `bytes` is its length as stated or as found, None where neither is known.

    `begun_bytes`: what an interrupted fetch has left. `fault`: why it is damaged. `by_hand`: what a person is to do.
    """

    name: str
    kind: str
    of: str
    licence: str
    attribution: str
    bytes: int | None
    checksum: str
    state: State
    fault: str | None = None
    begun_bytes: int = 0
    by_hand: str | None = None


def rows(sources: Mapping[str, Source], downloads: Path, *, read: bool = False) -> list[Row]:
    """A row for each of *sources* (name -> entry), whose files lie in *downloads*/name, by name.

    read: read every byte and compare checksums; else lengths alone. Raises SourceError for an unknown kind and for a
    record that cannot be read.
    """
    return [_row(name, sources[name], downloads / name, read=read) for name in sorted(sources)]


def totals(rows: Iterable[Row]) -> dict[str, Any]:
    """Numbers of sources by state, and bytes: here, still to fetch, and of how many the length is unknown."""
    rows = list(rows)
    absent = [row for row in rows if row.state != "here"]
    return {
        "sources": len(rows),
        **{state: sum(row.state == state for row in rows) for state in ("here", "missing", "damaged")},
        "here_bytes": sum(row.bytes or 0 for row in rows if row.state == "here"),
        "to_fetch_bytes": sum(max(0, (row.bytes or 0) - row.begun_bytes) for row in absent),
        "unknown_sizes": sum(row.bytes is None for row in absent),
    }


def table(rows: Iterable[Row]) -> str:
    """The rows in columns, then the totals in GB (10^9 bytes), why anything is damaged, what to fetch by hand."""
    rows = list(rows)
    lines = [COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    faults = [f"{row.name}: {row.fault}" for row in rows if row.fault]
    wanted = [f"{row.name}: {row.by_hand}" for row in rows if row.by_hand]
    return "\n".join([*text, "", _sum_line(totals(rows)), *faults, *wanted])


def as_json(rows: Iterable[Row]) -> dict[str, Any]:
    """{"sources": [row, ...], "totals": {...}}, plain builtins."""
    rows = list(rows)
    return {"sources": [asdict(row) for row in rows], "totals": totals(rows)}


def _row(name: str, source: Source, folder: Path, *, read: bool) -> Row:
    promises = kind_of(source).promises(source, folder)
    there = [promise for promise in promises if promise.path.is_file()]
    faults = [f"{promise.path.name}: {fault}" for promise in there if (fault := promise.fault(read=read))]
    sizes = [promise.path.stat().st_size if promise in there else promise.bytes for promise in promises]
    known = None if not sizes or None in sizes else sum(size or 0 for size in sizes)
    origins = {promise.origin for promise in promises}
    whole = bool(promises) and len(there) == len(promises)
    return Row(
        name=name,
        kind=str(source["kind"]),
        of=label(source),
        licence=str(source.get("licence", "?")),
        attribution=str(source.get("attribution", "?")),
        bytes=source.get("bytes") or known or source.get("about_bytes"),
        checksum=origins.pop() if origins else ("known" if stated(source) or source["kind"] == "hub" else "none"),
        state="damaged" if faults else "here" if whole else "missing",
        fault="; ".join(faults) or None,
        begun_bytes=_begun_bytes(folder),
        by_hand=by_hand(source, folder) if source["kind"] == "manual" and (faults or not whole) else None,
    )


def _begun_bytes(folder: Path) -> int:
    """What lies on the disk of files on their way; a part is as long as the whole from the start, with holes."""
    parts = [*folder.glob(".*.part"), *folder.glob(".hub/**/*")]
    return sum(part.stat().st_blocks * 512 for part in parts if part.is_file())


def _cells(row: Row) -> tuple[str, ...]:
    begun = f", {_gigabytes(row.begun_bytes)} GB begun" if row.begun_bytes and row.state != "here" else ""
    size = "?" if row.bytes is None else f"{_gigabytes(row.bytes)} GB"
    return row.name, row.kind, row.licence, size, row.checksum, row.state + begun


def _sum_line(sums: Mapping[str, Any]) -> str:
    unknown = f", and {sums['unknown_sizes']} of unknown size" if sums["unknown_sizes"] else ""
    counts = ", ".join(f"{sums[state]} {state}" for state in ("here", "missing", "damaged"))
    here, lacking = _gigabytes(sums["here_bytes"]), _gigabytes(sums["to_fetch_bytes"])
    return f"{sums['sources']} sources: {counts}; {here} GB here, {lacking} GB to fetch{unknown}"


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.3f}" if count < 1e9 else f"{count / 1e9:.1f}"
