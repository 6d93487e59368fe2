"""MMLU: the csv files of test or val by subject, and of dev, which shots are taken from, out of data.tar."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path

from steering.data.archives import extract
from steering.data.evaluation.building import Evaluation
from steering.data.evaluation.official import Key, Official, Published, Question, Written, copied
from steering.errors import DataError

SHOTS = "dev"
COLUMNS = 6


def _read(sources: Mapping[str, Path], splits: Sequence[str]) -> Published:
    published = Published([], [], [])
    counts = {}
    for split in (*splits, SHOTS):
        files = list(_files(sources["mmlu"], split))
        if not files:
            raise DataError(f"{sources['mmlu']}: no files {split}/*_{split}.csv in data/; it is another download")
        counts[split] = len(files)
        for file in files:
            published.add(_kept(file) if split == SHOTS else _subject(file, split))
    published.facts = {"subjects": counts}
    return published


def _files(path: Path, split: str) -> Iterator[Official]:
    """The csv files of *split*, by subject, out of the tar or a folder."""
    with tempfile.TemporaryDirectory() as aside:
        root = path
        if path.is_file():
            extract(path, Path(aside), [f"data/{split}/*_{split}.csv", f"{split}/*_{split}.csv"])
            root = Path(aside)
        home = root / "data" if (root / "data").is_dir() else root
        for file in sorted((home / split).glob(f"*_{split}.csv")):
            name = f"{split}/{file.name}"
            yield Official(name, f"{path}: {name}", file.read_bytes())


def _kept(file: Official) -> Published:
    _rows(file)
    return Published([], [copied(file)], [file])


def _subject(file: Official, split: str) -> Published:
    subject = file.name.removesuffix(f"_{split}.csv").partition("/")[2]
    rows = _rows(file)
    keys = [(split, f"{subject}/{number}") if row else None for number, row in enumerate(rows, start=1)]

    def write(kept: Container[Key]) -> bytes:
        """A row that goes is left empty, for forms number questions by their rows."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for row, key in zip(rows, keys, strict=True):
            writer.writerow(row if key in kept else [])
        return text.getvalue().encode()

    found = [key for key in keys if key is not None]
    written = Written(file.name, write, frozenset(found), file.content)
    return Published([Question(*key, None) for key in found], [written], [file])


def _rows(file: Official) -> list[list[str]]:
    try:
        rows = list(csv.reader(io.StringIO(file.content.decode("utf-8"))))
    except UnicodeDecodeError as fault:
        raise DataError(f"{file.where}: byte {fault.start} is not UTF-8; the official files are") from None
    wrong = [str(number) for number, row in enumerate(rows, start=1) if row and len(row) != COLUMNS]
    if wrong:
        raise DataError(
            f"{file.where}: {len(wrong)} rows have not {COLUMNS} columns (question, A, B, C, D, answer): "
            f"{', '.join(wrong[:10])}"
        )
    return rows


MMLU = Evaluation(name="mmlu_eval", version=1, splits={"test": 14_042, "val": None}, sources=("mmlu",), read=_read)
