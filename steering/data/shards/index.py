"""The index of a picture archive: a parquet file with a row for each name, aliases included, sorted by name.

    name      of the picture, UTF-8; rows are in the order of its bytes, so that a name is found by bisection
    position  of the name in the order of writing, from 0
    shard     number of the tar that holds the bytes
    offset    of the first byte in that tar
    bytes     how many there are
    sha256    of them, the first 16 hex digits: the picture's identity
    format, width, height    as the picture's head tells them; null where it tells none

Equal rows give equal bytes under one version of pyarrow, which writes its own into the file.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steering.errors import DataError, nearest

INDEX = "images.parquet"
IDENTITY_BYTES = 8
IDENTITY_DIGITS = 2 * IDENTITY_BYTES
ROWS_TOGETHER = 1 << 16
"""Rows of the file that are decoded at once, which bounds the memory that opening takes beside what it keeps."""

STRIDE = 128
"""Rows between the names that are kept at hand, to look among first."""

NEIGHBOURS = 100
"""Names before and after the place of an unknown one, among which the one that was meant is looked for."""

TYPES = {"name": "large_string", "position": "int64", "shard": "int32", "offset": "int64", "bytes": "int64"}
TYPES |= {"sha256": "large_string", "format": "string", "width": "int32", "height": "int32"}
NUMBERS = ("position", "shard", "offset", "bytes")
NEEDED = ("name", *NUMBERS, "sha256")
ENCODINGS = {"name": "DELTA_BYTE_ARRAY", "sha256": "PLAIN"}
ENCODINGS |= dict.fromkeys(("position", "shard", "offset", "bytes", "width", "height"), "DELTA_BINARY_PACKED")


class Entry(NamedTuple):
    """Where a picture's bytes lie, and their identity."""

    shard: int
    offset: int
    bytes: int
    identity: str


class Row(NamedTuple):
    """A line of the index but for its name and position; the look is (format, width, height), None where unknown."""

    entry: Entry
    look: tuple[str, int, int] | tuple[None, None, None]


def shard_name(number: int) -> str:
    return f"images-{number:05d}.tar"


def write_index(path: Path, names: Sequence[str], rows: Sequence[Row]) -> None:
    """Write the index of *names* (each once, in the order of writing) and their *rows*."""
    import pyarrow
    from pyarrow import parquet

    order = sorted(range(len(names)), key=lambda number: names[number].encode())
    columns = {name: pyarrow.array(values, TYPES[name]) for name, values in _columns(names, rows, order)}
    parquet.write_table(
        pyarrow.table(columns),
        path,
        row_group_size=ROWS_TOGETHER,
        compression="zstd",
        use_dictionary=["format"],
        column_encoding=ENCODINGS,
        write_statistics=False,
        write_page_checksum=True,
    )


def _columns(names: Sequence[str], rows: Sequence[Row], order: Sequence[int]) -> Iterator[tuple[str, list[Any]]]:
    yield "name", [names[number] for number in order]
    yield "position", list(order)
    for at, column in enumerate(("shard", "offset", "bytes", "sha256")):
        yield column, [rows[number].entry[at] for number in order]
    for at, column in enumerate(("format", "width", "height")):
        yield column, [rows[number].look[at] for number in order]


class Texts:
    """A column of texts as one run of bytes and the places where each begins: 8 bytes a text beside the text."""

    def __init__(self, column: Any):
        whole = column.combine_chunks()
        _, offsets, data = whole.buffers()
        places = np.frombuffer(offsets, np.int64) if offsets else np.zeros(1, np.int64)
        self.offsets: NDArray[np.int64] = places[whole.offset : whole.offset + len(whole) + 1]
        self.data = memoryview(data) if data else memoryview(b"")
        self._length = len(whole)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, row: int) -> bytes:
        return bytes(self.data[self.offsets[row] : self.offsets[row + 1]])

    def text(self, row: int) -> str:
        return self[row].decode()

    def whole(self) -> str:
        """All texts, one behind the other."""
        return str(self.data[self.offsets[0] : self.offsets[-1]], "utf-8")


class Index:
    """An index in memory, in arrays: about 45 bytes and the name for each row. Raises DataError for a broken file."""

    def __init__(self, path: Path):
        self.path = path
        columns = _read(path)
        self._names: Texts = columns["name"]
        self._identities: bytes = columns["sha256"]
        self._position, self._shard, self._offset, self._bytes = (columns[name] for name in NUMBERS)
        self._landmarks = [self._names[row] for row in range(0, len(self._names), STRIDE)]

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._row(name) is not None

    def __getitem__(self, name: str) -> Entry:
        row = self._row(name)
        if row is None:
            raise DataError(f"{self.path}: {name}: no such picture{self._meant(name)}; it holds {len(self)} names")
        identity = self._identities[row * IDENTITY_BYTES : (row + 1) * IDENTITY_BYTES].hex()
        return Entry(int(self._shard[row]), int(self._offset[row]), int(self._bytes[row]), identity)

    def names(self) -> list[str]:
        """In the order of writing."""
        return [self._names.text(row) for row in self._order()]

    def distinct(self) -> list[str]:
        """The first name of each distinct picture, in the order of writing."""
        order = self._order()
        identities = np.frombuffer(self._identities, f"u{IDENTITY_BYTES}")[order]
        first = np.sort(np.unique(identities, return_index=True)[1])
        return [self._names.text(row) for row in order[first]]

    def _order(self) -> NDArray[np.int64]:
        return np.argsort(self._position)

    def _row(self, name: str) -> int | None:
        wanted = _encoded(name)
        row = self._place(wanted)
        return row if row < len(self) and self._names[row] == wanted else None

    def _place(self, wanted: bytes) -> int:
        """The row of *wanted*, or the one it would have; few steps of the bisection are in Python."""
        end = bisect_left(self._landmarks, wanted) * STRIDE
        return bisect_left(self._names, wanted, max(end - STRIDE, 0), min(end, len(self)))

    def _meant(self, name: str) -> str:
        place = self._place(_encoded(name))
        around = range(max(place - NEIGHBOURS, 0), min(place + NEIGHBOURS, len(self)))
        return nearest(name, [self._names.text(row) for row in around])


def _encoded(name: str) -> bytes:
    """A name from a broken JSON may hold half a surrogate pair, which no archive has."""
    return name.encode(errors="surrogatepass")


def _read(path: Path) -> dict[str, Any]:
    """NEEDED in the shape in which they are kept; one column after the other, so that little else is in memory."""
    from pyarrow import ArrowException, default_memory_pool, parquet

    try:
        with path.open("rb") as file:
            table = parquet.ParquetFile(file, page_checksum_verification=True)
            _check_columns(path, table.schema_arrow)
            return {name: _kept(path, name, table.read(columns=[name], use_threads=False)[name]) for name in NEEDED}
    except FileNotFoundError as fault:
        raise DataError(f"{path}: not found; a data set folder holds {shard_name(0)}, ... and {INDEX}") from fault
    except (ArrowException, OSError, ValueError) as fault:
        raise DataError(f"{path}: not a readable index ({fault}); build the data set again") from fault
    finally:
        default_memory_pool().release_unused()


def _check_columns(path: Path, schema: Any) -> None:
    if any(name not in schema.names or str(schema.field(name).type) != TYPES[name] for name in NEEDED):
        allowed = ", ".join(f"{name} {TYPES[name]}" for name in NEEDED)
        raise DataError(f"{path}: not an index of pictures ({', '.join(schema.names)}); allowed {allowed}")


def _kept(path: Path, name: str, column: Any) -> Any:
    if column.null_count:
        raise DataError(f"{path}: {column.null_count} rows without {name}; build the data set again")
    if name in NUMBERS:
        return column.to_numpy()
    texts = Texts(column)
    return texts if name == "name" else _identities(texts)


def _identities(texts: Texts) -> bytes:
    content = bytes.fromhex(texts.whole())
    if len(content) != IDENTITY_BYTES * len(texts):
        raise ValueError(f"a sha256 that has not {IDENTITY_DIGITS} digits")
    return content
