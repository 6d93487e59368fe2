"""The catalogue tells what is here, what is lacking and what is wrong, without a network."""

from __future__ import annotations

import hashlib
import json

import pytest

from steering.data.catalogue import as_json, rows, table, totals
from steering.errors import SourceError

CONTENT = b"x" * 2_000_000
SUM = hashlib.sha256(CONTENT).hexdigest()
TOLD = {"licence": "MIT", "attribution": "nobody"}
WEB = {"kind": "http", "url": "https://me:secret@host/data.zip", **TOLD}
HUB = {"kind": "hub", "repo": "owner/tiny", "revision": "0" * 40, "files": ["*.json"], **TOLD}
WHEEL = {"kind": "pypi", "package": "tiny-data", "version": "1.0", "sha256": SUM, **TOLD}


def placed(path, content: bytes = CONTENT):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def recorded(folder, of: dict, files: dict):
    placed(folder / "checksums.json", json.dumps({"of": of, "files": files}).encode())


def told(source, downloads, **options):
    (row,) = rows({"it": source}, downloads, **options)
    return row.state, row.checksum, row.bytes


def test_a_source_that_is_missing_tells_what_is_known_of_it(tmp_path):
    assert told(WHEEL, tmp_path) == ("missing", "known", None)
    assert told(WEB, tmp_path) == ("missing", "none", None)
    assert told({**WEB, "md5": "0" * 32, "bytes": 7}, tmp_path) == ("missing", "known", 7)
    assert told(HUB, tmp_path) == ("missing", "known", None)


def test_a_source_that_is_here_tells_the_length_of_its_file(tmp_path):
    placed(tmp_path / "it/data.zip")
    placed(tmp_path / "it/tiny_data-1.0-py3-none-any.whl")
    assert told(WHEEL, tmp_path, read=True) == ("here", "known", 2_000_000)
    assert told({**WEB, "sha256": SUM}, tmp_path, read=True) == ("here", "known", 2_000_000)
    assert told(WEB, tmp_path) == ("here", "none", 2_000_000)


def test_what_was_recorded_stands_for_a_checksum(tmp_path):
    recorded(tmp_path / "it", {"url": "?"}, {"data.zip": {"sha256": SUM, "bytes": 2_000_000}})
    assert told(WEB, tmp_path) == ("missing", "recorded", 2_000_000)
    placed(tmp_path / "it/data.zip", CONTENT[:-1])
    assert told(WEB, tmp_path)[0] == "damaged"


def test_other_bytes_of_the_same_length_show_when_they_are_read(tmp_path):
    placed(tmp_path / "it/data.zip", b"y" * 2_000_000)
    source = {**WEB, "sha256": SUM}
    assert told(source, tmp_path)[0] == "here"
    (row,) = rows({"it": source}, tmp_path, read=True)
    assert row.state == "damaged"
    assert row.fault.startswith(f"data.zip: sha256 expected {SUM}, got ")


def test_a_hub_source_is_here_when_all_its_files_are(tmp_path):
    of = {"repo": "owner/tiny", "revision": "0" * 40, "files": ["*.json"], "repo_type": "model"}
    files = {f"tiny/{name}": {"sha256": hashlib.sha256(b"{}").hexdigest(), "bytes": 2} for name in ("a.json", "b.json")}
    recorded(tmp_path / "it", of, files)
    placed(tmp_path / "it/tiny/a.json", b"{}")
    assert told(HUB, tmp_path) == ("missing", "known", 4)
    placed(tmp_path / "it/tiny/b.json", b"{}")
    assert told(HUB, tmp_path, read=True) == ("here", "known", 4)
    assert told({**HUB, "revision": "1" * 40}, tmp_path) == ("missing", "known", None)


def test_the_table_has_a_line_for_each_and_totals_in_gb(tmp_path):
    placed(tmp_path / "web/data.zip")
    placed(tmp_path / "broken/data.zip", b"cut")
    placed(tmp_path / "large/.data.zip.part", bytes(1_000_000))
    sources = {
        "web": WEB,
        "broken": {**WEB, "sha256": SUM, "bytes": 2_000_000},
        "large": {**WEB, "sha256": SUM, "bytes": 27_400_000_000},
        "hub": HUB,
    }
    found = rows(sources, tmp_path)
    lines = table(found).splitlines()
    assert [line.split() for line in lines[:5]] == [
        ["source", "kind", "licence", "size", "checksum", "state"],
        ["broken", "http", "MIT", "0.002", "GB", "known", "damaged"],
        ["hub", "hub", "MIT", "?", "known", "missing"],
        ["large", "http", "MIT", "27.4", "GB", "known", "missing,", "0.001", "GB", "begun"],
        ["web", "http", "MIT", "0.002", "GB", "none", "here"],
    ]
    assert lines[6] == (
        "4 sources: 1 here, 2 missing, 1 damaged; 0.002 GB here, 27.4 GB to fetch, and 1 of unknown size"
    )
    assert lines[7] == "broken: data.zip: expected 2,000,000 bytes, got 3"


def test_json_tells_the_same_and_no_credentials(tmp_path):
    found = rows({"web": WEB, "wheel": WHEEL}, tmp_path)
    plain = json.loads(json.dumps(as_json(found)))
    assert plain["totals"] == totals(found)
    assert plain["sources"][0]["of"] == "https://host/data.zip"
    assert plain["sources"][0]["state"] == "missing"
    assert "secret" not in json.dumps(plain)


def test_no_sources_are_a_table_too(tmp_path):
    assert table(rows({}, tmp_path)).endswith(
        "0 sources: 0 here, 0 missing, 0 damaged; 0.000 GB here, 0.000 GB to fetch"
    )


def test_an_unknown_kind_is_told(tmp_path):
    with pytest.raises(SourceError, match="kind ftp: unknown; allowed: pypi, http, hub, manual"):
        rows({"it": {"kind": "ftp"}}, tmp_path)
