"""A prediction's file that was cut anywhere goes on to the bytes of one that was not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from steering.evaluate.journal import append, resume

BATCHES = [["a", "b"], ["c"], ["d", "e", "f"]]


def record(name: str) -> dict[str, Any]:
    return {"benchmark": "pope", "split": "test", "id": name, "answer": f"Öl\nfor {name}"}


def names(batch: list[str]) -> list[tuple[str, str, str]]:
    return [("pope", "test", name) for name in batch]


def written(path: Path, batches: list[list[str]] = BATCHES) -> bytes:
    for batch in batches:
        append(path, map(record, batch))
    return path.read_bytes()


def gone_on(path: Path) -> int:
    """The rest is written behind what was kept."""
    done = resume(path, BATCHES, names)
    for batch in BATCHES[done:]:
        append(path, map(record, batch))
    return done


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "predictions.jsonl"


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    return written(tmp_path / "whole.jsonl")


def test_a_cut_at_any_byte_goes_on_to_the_same_bytes(path: Path, whole: bytes, tmp_path: Path) -> None:
    ends = [len(written(tmp_path / f"{count}.jsonl", BATCHES[:count])) for count in range(1, 4)]
    for at in range(len(whole) + 1):
        path.write_bytes(whole[:at])
        assert gone_on(path) == sum(end <= at for end in ends)
        assert path.read_bytes() == whole


def test_a_file_that_was_never_begun_begins(path: Path, whole: bytes) -> None:
    assert gone_on(path) == 0
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "tail",
    [b"\0" * 200, b"\n\n", b"[]\n", b'{"benchmark": "pope"}\n', b"\xff\xff\n", b'{"benchmark": "pope", "split": \n'],
)
def test_what_is_no_record_of_the_next_batch_is_cut_off(path: Path, whole: bytes, tail: bytes, tmp_path: Path) -> None:
    path.write_bytes(written(tmp_path / "first.jsonl", BATCHES[:1]) + tail)
    assert gone_on(path) == 1
    assert path.read_bytes() == whole


def test_records_of_other_questions_are_cut_off(path: Path, whole: bytes) -> None:
    written(path, [["a", "b"], ["x"], ["d", "e", "f"]])
    assert gone_on(path) == 1
    assert path.read_bytes() == whole


def test_a_line_is_a_record_in_letters_of_its_own_script(path: Path) -> None:
    append(path, [record("a")])
    assert path.read_text(encoding="utf-8") == (
        '{"benchmark": "pope", "split": "test", "id": "a", "answer": "Öl\\nfor a"}\n'
    )
