"""The rows of a JSON list, one after another, from a file of any size; the whole text is never in memory."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

from steering.errors import DataError

CHUNK_BYTES = 1 << 20
ROW_LIMIT = 64 << 20  # characters; a longer row is a broken file
SPACE = " \t\n\r"


def stream_rows(path: Path) -> Iterator[Any]:
    """The elements of the JSON list in *path*; DataError for a missing file, broken JSON, not UTF-8, not a list."""
    try:
        with open(path, "rb") as file:
            yield from _Reader(path, file).rows()
    except (FileNotFoundError, IsADirectoryError):
        raise DataError(f"{path}: not found; it takes a LLaVA conversation file") from None


class _Reader:
    def __init__(self, path: Path, file: IO[bytes]):
        self.path, self._file = path, file
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._text, self._at, self._lines = "", 0, 1

    def rows(self) -> Iterator[Any]:
        if self._next() != "[":
            raise DataError(f"{self.path}: does not begin with [; it takes a list of conversations")
        self._at += 1
        mark = self._next()
        while mark != "]":
            yield self._element()
            mark = self._next()
            if mark not in (",", "]"):
                self._broken("Expecting ',' or ']'")
            self._at += mark == ","
        self._at += 1
        if self._next():
            self._broken("Extra data")

    def _next(self) -> str:
        """The next character that is no space, not taken; an empty string at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in SPACE:
                self._at += 1
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def _element(self) -> Any:
        decoder = json.JSONDecoder()
        self._next()
        while True:
            try:
                value, end = decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as fault:
                behind = fault.pos - self._at
                if len(self._text) - self._at > ROW_LIMIT or not self._more():
                    self._broken(fault.msg, self._at + behind)
                continue
            # A number that ends with the text may go on in the next chunk.
            if end < len(self._text) or not self._more():
                self._at = end
                return value

    def _more(self) -> bool:
        """Read on, what was taken forgotten; False at the end of the file."""
        self._lines += self._text.count("\n", 0, self._at)
        self._text, self._at = self._text[self._at :], 0
        chunk = self._file.read(max(CHUNK_BYTES, len(self._text)))
        try:
            self._text += self._decode(chunk, final=not chunk)
        except UnicodeDecodeError:
            raise DataError(f"{self.path}: after line {self._lines}: not UTF-8; it takes UTF-8") from None
        return bool(chunk)

    def _broken(self, what: str, at: int | None = None) -> NoReturn:
        line = self._lines + self._text.count("\n", 0, self._at if at is None else at)
        raise DataError(f"{self.path}: line {line}: broken JSON: {what}")
