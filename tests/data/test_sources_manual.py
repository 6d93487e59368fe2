"""A source that a person fetches by hand is asked for in one line, then held to its bytes like any other."""

from __future__ import annotations

import hashlib

import pytest

from steering.data.catalogue import rows, table
from steering.data.sources import fetch
from steering.errors import SourceError

URL = "https://drive.example.org/file/d/1?token=secret"
SOURCE = {"kind": "manual", "url": URL, "file": "eval.zip", "licence": "?", "attribution": "someone"}
CONTENT = b"PK and so on"


def test_what_is_missing_is_asked_for_by_name_place_and_file(tmp_path):
    with pytest.raises(SourceError) as caught:
        fetch(SOURCE, tmp_path / "eval")
    assert str(caught.value) == (
        f"{tmp_path}/eval/eval.zip: not there; this one is fetched by hand: open "
        f"https://drive.example.org/file/d/1?token=... and put it into {tmp_path}/eval as eval.zip, then run again"
    )


def test_a_file_put_there_is_taken_and_held_to_its_first_bytes(tmp_path):
    (tmp_path / "eval.zip").write_bytes(CONTENT)
    assert fetch(SOURCE, tmp_path) == tmp_path / "eval.zip" == fetch(SOURCE, tmp_path)
    (tmp_path / "eval.zip").write_bytes(CONTENT[::-1])
    found = hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(SourceError, match=f"eval.zip: sha256 expected {found}, got (?s:.*)remove what is wrong; this"):
        fetch(SOURCE, tmp_path)


def test_a_known_checksum_is_held_to_at_once(tmp_path):
    (tmp_path / "eval.zip").write_bytes(CONTENT)
    assert fetch(SOURCE | {"md5": hashlib.md5(CONTENT).hexdigest()}, tmp_path).read_bytes() == CONTENT
    assert not (tmp_path / "checksums.json").exists()
    with pytest.raises(SourceError, match=f"md5 expected {'0' * 32}, got"):
        fetch(SOURCE | {"md5": "0" * 32}, tmp_path)


def test_a_page_saved_in_place_of_the_file_is_recognised(tmp_path):
    (tmp_path / "eval.zip").write_bytes(b"<!DOCTYPE html><title>Virus scan warning</title>")
    with pytest.raises(SourceError, match="a web page titled 'Virus scan warning' came instead of eval.zip"):
        fetch(SOURCE, tmp_path)
    assert not (tmp_path / "checksums.json").exists()


def test_a_folder_is_held_to_every_file_it_had(tmp_path):
    source = SOURCE | {"file": "MMMU"}
    for name in ("Art/a.parquet", "Music/b.parquet"):
        (tmp_path / "MMMU" / name).parent.mkdir(parents=True)
        (tmp_path / "MMMU" / name).write_bytes(name.encode())
    assert fetch(source, tmp_path) == tmp_path / "MMMU" == fetch(source, tmp_path)
    (tmp_path / "MMMU/Art/a.parquet").unlink()
    with pytest.raises(SourceError, match="MMMU/Art/a.parquet: not there"):
        fetch(source, tmp_path)
    (tmp_path / "MMMU/Art/a.parquet").write_bytes(b"other")
    with pytest.raises(SourceError, match="a.parquet: expected 13 bytes, got 5; sha256 expected"):
        fetch(source, tmp_path)


def test_an_entry_that_is_no_plain_name_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"file: '\.\./x'; allowed is a plain name"):
        fetch(SOURCE | {"file": "../x"}, tmp_path)


def test_the_catalogue_tells_what_to_fetch_by_hand(tmp_path):
    (row,) = rows({"eval": SOURCE}, tmp_path)
    assert (row.state, row.checksum, row.bytes) == ("missing", "none", None)
    assert table([row]).splitlines()[-1].startswith("eval: this one is fetched by hand: open https://drive.example.org")
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval/eval.zip").write_bytes(CONTENT)
    fetch(SOURCE, tmp_path / "eval")
    (row,) = rows({"eval": SOURCE}, tmp_path, read=True)
    assert (row.state, row.checksum, row.by_hand) == ("here", "recorded", None)
