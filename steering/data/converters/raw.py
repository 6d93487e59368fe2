"""The JSON files that came with a data set, out of a plain file, a folder or a zip archive."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from steering.data.converters.pictures import open_store
from steering.errors import DataError

PLAIN = (".json", ".jsonl")
Field = tuple[str, type | tuple[type, ...]]


def read_json(path: Path, members: Sequence[str] = ()) -> Any:
    """The JSON in *path*, or in the first of *members* that the folder or zip *path* holds; raises DataError."""
    return parse_json(*read_file(path, members))


def parse_json(where: str, content: bytes) -> Any:
    """The JSON that *content* spells; raises DataError with *where*."""
    try:
        return json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as fault:
        raise DataError(f"{where}: byte {fault.start} is not UTF-8; the published file is") from None
    except json.JSONDecodeError as fault:
        raise DataError(f"{where}: line {fault.lineno}: broken JSON: {fault.msg}") from None


def read_file(path: Path, members: Sequence[str]) -> tuple[str, bytes]:
    """Where it is and its bytes: *path* itself, or the first of *members* in the folder or zip *path*."""
    if path.is_file() and path.suffix in PLAIN:
        return str(path), path.read_bytes()
    store = open_store(path)
    for member in members:
        if member in store:
            return f"{path}: {member}", store.read(member)
    raise DataError(f"{path}: holds none of {', '.join(members) or 'the files looked for'}; it is another download")


def problems_of(
    split: str, problems: Any, splits: Any, *, where: str, takes: Sequence[Field]
) -> Iterator[tuple[str, Any]]:
    """(pid, problem) of *split*, in the order of pid_splits.json; ScienceQA and IconQA share this shape.

    takes: (field, type) that each problem must have. Raises DataError that counts all faults and names ten.
    """
    if not isinstance(problems, Mapping) or not isinstance(splits, Mapping) or not isinstance(splits.get(split), list):
        raise DataError(f"{where}: takes problems.json {{pid: problem}} and pid_splits.json with the split {split}")
    pids = [str(pid) for pid in splits[split]]
    check_records(((pid, problems.get(pid)) for pid in pids), where=where, takes=takes)
    return ((pid, problems[pid]) for pid in pids)


def check_records(records: Iterable[tuple[str, Any]], *, where: str, takes: Sequence[Field]) -> None:
    """Raises DataError, with the first ten, for the (name, record) that lack one of the fields *takes*."""
    names = ", ".join(name for name, _ in takes)
    faults = [name for name, record in records if not _has(record, takes)]
    if faults:
        more = f", and {len(faults) - 10} more" if len(faults) > 10 else ""
        raise DataError(f"{where}: {len(faults)} records without a usable {names}: {', '.join(faults[:10])}{more}")


def _has(record: Any, takes: Sequence[Field]) -> bool:
    return isinstance(record, Mapping) and all(isinstance(record.get(name), kind) for name, kind in takes)


def asked(identifier: str, image: str | None, question: str, answer: str) -> dict[str, Any]:
    """A row of one question and its answer in LLaVA's shape."""
    before = "<image>\n" if image is not None else ""
    turns = [{"from": "human", "value": f"{before}{question}"}, {"from": "gpt", "value": answer}]
    return {"id": identifier, **({"image": image} if image is not None else {}), "conversations": turns}
