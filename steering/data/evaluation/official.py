"""Official question files: as they were fetched, what is asked in them, and how they are written with fewer questions.

A file all of whose questions stay keeps its bytes, so that its checksum stays the official one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from steering.data.converters.pictures import Pictures
from steering.data.converters.raw import Field, check_records, parse_json, read_file
from steering.errors import DataError
from steering.manifest import sha256_file

Key = tuple[str, str]
"""Split and id of a question."""


@dataclass(frozen=True)
class Question:
    """One question: image is its picture's name in the archive, None without one.

    unit: a sample takes the questions of one unit of a split together, or none of them; by default each is its own.
    """

    split: str
    id: str
    image: str | None
    unit: str = ""

    @property
    def key(self) -> Key:
        return self.split, self.id

    @property
    def together(self) -> str:
        return self.unit or self.id


@dataclass(frozen=True)
class Official:
    """A file as it was fetched: the name under which a form reads it, where it was found, its bytes."""

    name: str
    where: str
    content: bytes

    def facts(self) -> dict[str, Any]:
        return {"sha256": hashlib.sha256(self.content).hexdigest(), "bytes": len(self.content)}

    @cached_property
    def json(self) -> Any:
        """The value that the file spells; raises DataError."""
        return parse_json(self.where, self.content)

    def records(self, takes: Sequence[Field], within: str | None = None) -> list[Any]:
        """The list of records that the file is, or has under *within*; see check_records for *takes*."""
        value = self.json
        rows = value.get(within) if within is not None and isinstance(value, Mapping) else value
        if not isinstance(rows, list):
            place = f"under {within!r}" if within is not None else "in it"
            raise DataError(f"{self.where}: no list of questions {place}; it is another file")
        self._check(enumerate(rows), takes)
        return rows

    def named_records(self, takes: Sequence[Field]) -> dict[str, Any]:
        """The {name: record} that the file is."""
        value = self.json
        if not isinstance(value, dict):
            raise DataError(f"{self.where}: a {type(value).__name__}; it takes an object of questions by name")
        check_records(value.items(), where=self.where, takes=takes)
        return value

    def lines(self, takes: Sequence[Field]) -> list[Any]:
        """The record of each line of JSON lines, None for an empty one."""
        lines = self.content.split(b"\n")
        rows = [parse_json(f"{self.where}:{n}", line) if line.strip() else None for n, line in enumerate(lines, 1)]
        self._check(((n, row) for n, row in enumerate(rows, 1) if row is not None), takes)
        return rows

    def _check(self, rows: Iterable[tuple[int, Any]], takes: Sequence[Field]) -> None:
        check_records(((f"row {number}", row) for number, row in rows), where=self.where, takes=takes)


@dataclass(frozen=True)
class Large:
    """A file that was fetched and is read elsewhere, piece by piece."""

    name: str
    path: Path

    def facts(self) -> dict[str, Any]:
        return {"sha256": sha256_file(self.path), "bytes": self.path.stat().st_size}


def find(path: Path, name: str, tops: Sequence[str] = ("",)) -> Official:
    """The file *name*: *path* itself, or what the folder or zip *path* holds under that name behind one of *tops*."""
    return Official(name, *read_file(path, [top + name for top in tops]))


@dataclass(frozen=True)
class Written:
    """A file that a form reads; write: its bytes with the questions of these keys alone; official: with all."""

    name: str
    write: Callable[[Container[Key]], bytes]
    keys: frozenset[Key]
    official: bytes | None = None

    def content(self, kept: set[Key]) -> bytes:
        return self.official if self.official is not None and self.keys <= kept else self.write(kept)


def dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def json_file(
    official: Official, rows: Sequence[Any], keys: Sequence[Key], put: Callable[[list[Any]], Any] = list
) -> Written:
    """A JSON file of *rows*, whose questions are *keys*; put: the file's value of the rows that stay."""

    def write(kept: Container[Key]) -> bytes:
        return dump(put([row for row, key in zip(rows, keys, strict=True) if key in kept]))

    return Written(official.name, write, frozenset(keys), official.content)


def lines_file(official: Official, keys: Sequence[Key | None]) -> Written:
    """A file of lines, whose questions are *keys*, None for a line without one.

    A line that goes is left empty: forms number questions by their lines, and a sample's are to have the whole's.
    """

    def write(kept: Container[Key]) -> bytes:
        lines = zip(official.content.split(b"\n"), keys, strict=True)
        return b"\n".join(line if key is None or key in kept else b"" for line, key in lines)

    return Written(official.name, write, frozenset(key for key in keys if key is not None), official.content)


def copied(official: Official) -> Written:
    """A file that is kept as it is, whatever is asked."""
    return Written(official.name, lambda _: official.content, frozenset(), official.content)


@dataclass
class Published:
    """What a benchmark's sources hold: the questions, the files to write, where pictures are, what was read.

    known: file name -> what a published sha256 of it stands for, by that sha256.  facts: whatever else is to be told.
    """

    questions: list[Question]
    files: list[Written]
    official: Sequence[Official | Large]
    pictures: Pictures = field(default_factory=lambda: Pictures((), {}))
    known: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def add(self, other: Published) -> None:
        """Take in the questions and files of another split."""
        self.questions += other.questions
        self.files += other.files
        self.official = [*self.official, *other.official]
