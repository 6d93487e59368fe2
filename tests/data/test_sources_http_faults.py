"""What a fetch cannot give is told in one line that says what was wrong, and no wrong file is kept."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import time
from types import SimpleNamespace

import pytest

from steering.data.sources import RECORD, fetch, transfer
from steering.data.sources.asking import Patience
from steering.errors import SourceError
from tests.data.file_server import CONTENT, OTHER, PAGE, SUM, names, saying, serve, span_of


def test_a_server_that_stays_busy_is_told_in_one_line(source, server, tmp_path):
    server.probes = [saying(503)] * 9
    with pytest.raises(SourceError, match=r"answered 503 Service Unavailable, 4 times; check the network") as caught:
        fetch(source, tmp_path)
    assert str(caught.value).startswith(f"source {server.url}: ")
    assert "\n" not in str(caught.value)


def test_a_drip_that_would_take_for_ever_is_given_up(source, server, tmp_path, monkeypatch):
    def trickle(request):
        request.reply(206, length=100, Content_Range=f"bytes {span_of(request)[0]}-99/400000", ETag='"one"')
        for _ in range(40):
            request.wfile.write(b"x")
            time.sleep(0.02)

    monkeypatch.setattr(transfer, "PATIENCE", Patience(attempts=2, first_wait_seconds=0.01, slow_seconds=0.1))
    server.answers = [trickle] * 2
    with pytest.raises(SourceError, match=r"only \d+ bytes came in 0 seconds, 2 times"):
        fetch(source, tmp_path)


@pytest.mark.parametrize("there", ["ftp://127.0.0.1/data.zip", "file:///etc/passwd"])
def test_a_redirect_to_another_scheme_is_refused(source, server, tmp_path, there):
    server.probes = [saying(302, Location=there)]
    with pytest.raises(SourceError, match=f"{there}.*allowed are http and https, redirects included"):
        fetch(source, tmp_path)


@pytest.mark.parametrize(
    ("status", "says"), [(404, "404 Not Found: not found"), (403, "licence"), (401, "netrc"), (410, "mirrors")]
)
def test_what_is_not_there_is_told_at_once_without_credentials(source, server, tmp_path, status, says):
    server.probes = [saying(status, PAGE, Content_Type="text/html")]
    url = server.url.replace("http://", "http://me:secret@")
    with pytest.raises(SourceError, match=says) as caught:
        fetch({**source, "url": f"{url}?token=hush"}, tmp_path)
    assert str(caught.value).startswith(f"source {server.url}?token=...: answered {status}")
    assert "secret" not in str(caught.value)
    assert len(server.asked) == 1


def test_a_page_in_place_of_an_archive_is_told_by_its_title(source, server, tmp_path):
    server.probes = [saying(200, PAGE, Content_Type="text/html; charset=utf-8")]
    with pytest.raises(SourceError, match="a web page titled 'Quota exceeded' came instead of data.zip"):
        fetch(source, tmp_path)


@pytest.mark.parametrize("sha256", [SUM, None])
def test_a_page_that_says_it_is_an_archive_is_told(source, server, tmp_path, sha256):
    server.content = PAGE
    with pytest.raises(SourceError, match="a web page titled 'Quota exceeded'"):
        fetch({**source, "sha256": sha256}, tmp_path)
    assert names(tmp_path) == []


def test_a_wrong_length_is_told_before_the_fetch(source, server, tmp_path):
    with pytest.raises(SourceError, match="it has 400,000 bytes; expected 399,999"):
        fetch({**source, "bytes": 399_999}, tmp_path)
    assert server.starts() == []


def test_wrong_bytes_are_told_with_both_sums_and_not_kept(source, server, tmp_path):
    server.content = OTHER
    got = hashlib.sha256(OTHER).hexdigest()
    with pytest.raises(SourceError, match=f"sha256 expected {SUM}, got {got}; the file was removed"):
        fetch(source, tmp_path)
    assert names(tmp_path) == []
    assert server.starts() == [0]


def test_a_full_disk_is_told_before_the_fetch(source, server, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
    with pytest.raises(SourceError, match="0.0004 GB to fetch, 1e-09 GB free"):
        fetch(source, tmp_path)
    assert server.starts() == []


def test_no_server_is_one_line(source, tmp_path, server):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/data.zip"
    with pytest.raises(SourceError, match="refused.*4 times; check the network") as caught:
        fetch({**source, "url": url}, tmp_path)
    assert "\n" not in str(caught.value)


def test_where_all_mirrors_fail_each_is_told(source, server, tmp_path):
    server.probes = [saying(404), saying(403)]
    with pytest.raises(SourceError, match="(?s)data.zip: answered 404.*\nsource .*b.zip: answered 403"):
        fetch({**source, "mirrors": [server.url.replace("data", "b")]}, tmp_path)


def test_the_checksum_of_the_first_fetch_is_recorded_and_held_to(source, server, tmp_path):
    free = {**source, "sha256": None}
    path = fetch(free, tmp_path)
    assert json.loads((tmp_path / RECORD).read_text()) == {
        "of": {"url": server.url},
        "files": {"data.zip": {"sha256": SUM, "bytes": 400_000}},
    }
    path.unlink()
    server.content = OTHER[:-1]
    got = hashlib.sha256(OTHER[:-1]).hexdigest()
    with pytest.raises(
        SourceError, match=f"sha256 expected {SUM}, got {got}; expected is what the first fetch recorded"
    ):
        fetch(free, tmp_path)
    server.content = CONTENT
    assert fetch(free, tmp_path).read_bytes() == CONTENT


def test_a_damaged_record_is_told(source, tmp_path):
    (tmp_path / RECORD).write_text("{")
    with pytest.raises(SourceError, match="checksums.json: damaged"):
        fetch({**source, "sha256": None}, tmp_path)


def test_all_that_is_wrong_in_an_entry_is_told_at_once(tmp_path):
    entry = {"kind": "http", "url": "ftp://host/..", "sha256": "abc", "md5": "0" * 31, "parts": 99}
    with pytest.raises(SourceError) as caught:
        fetch(entry, tmp_path)
    told = str(caught.value).splitlines()
    assert [
        re.search(word, line) is not None
        for word, line in zip(
            ("allowed are http and https", "allowed are 64", "allowed are 32", "1 to 16", "plain name"),
            told,
            strict=True,
        )
    ] == [True] * 5


def test_two_processes_do_not_fetch_into_one_folder(source, server, tmp_path):
    said: list[str] = []

    def meanwhile(request):
        try:
            fetch(source, tmp_path)
        except SourceError as fault:
            said.append(str(fault))
        serve(request)

    server.answers = [meanwhile]
    assert fetch(source, tmp_path).read_bytes() == CONTENT
    assert len(said) == 1
    assert "another process is fetching" in said[0]
