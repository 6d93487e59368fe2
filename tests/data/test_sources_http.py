"""Whatever the manners of a server, a fetch ends in the whole right file."""

from __future__ import annotations

import hashlib
import json
import time

import pytest

from steering.data.sources import RECORD, fetch, transfer
from steering.data.sources.asking import Patience
from steering.errors import SourceError
from tests.data.file_server import CONTENT, OTHER, PAGE, names, saying


def test_a_file_is_fetched_and_then_left_alone(source, server, tmp_path):
    path = fetch(source, tmp_path / "new")
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == ["data.zip"]
    server.asked.clear()
    assert fetch(source, tmp_path / "new") == path
    assert server.asked == []


def test_a_damaged_file_is_fetched_again(source, tmp_path):
    (tmp_path / "data.zip").write_bytes(CONTENT[:-1])
    assert fetch(source, tmp_path).read_bytes() == CONTENT


def test_an_md5_will_do(source, tmp_path):
    md5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    assert fetch({**source, "sha256": None, "md5": md5}, tmp_path).read_bytes() == CONTENT
    with pytest.raises(SourceError, match=f"md5 expected {'0' * 32}, got {md5}"):
        fetch({**source, "sha256": None, "md5": "0" * 32}, tmp_path / "other")


def test_a_name_of_its_own_keeps_addresses_apart(source, server, tmp_path):
    assert fetch({**source, "url": f"{server.url}?id=7", "file": "eval.zip"}, tmp_path).name == "eval.zip"


def test_a_server_that_refuses_the_probe_gives_the_whole(source, server, tmp_path):
    server.probes = [saying(416, PAGE, Content_Type="text/html")]
    assert fetch(source, tmp_path).read_bytes() == CONTENT


def test_an_empty_file_is_a_file(source, server, tmp_path):
    server.content = b""
    server.probes = [saying(416, Content_Range="bytes */0")]
    assert fetch({**source, "sha256": hashlib.sha256().hexdigest()}, tmp_path).read_bytes() == b""


def test_a_file_of_untold_length_is_fetched(source, server, tmp_path):
    def untold(request):
        request.send_response(200)
        request.send_header("Connection", "close")
        request.end_headers()
        request.wfile.write(CONTENT)
        request.hang_up()

    server.probes, server.answers = [untold], [untold]
    assert fetch(source, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(source, server, tmp_path, status):
    server.probes = [saying(status)]
    server.answers = [saying(status), saying(status)]
    assert fetch(source, tmp_path).read_bytes() == CONTENT


def test_retry_after_is_heeded_up_to_a_limit(source, server, tmp_path, monkeypatch):
    patience = Patience(attempts=4, first_wait_seconds=60, longest_wait_seconds=0.3, read_seconds=1)
    monkeypatch.setattr(transfer, "PATIENCE", patience)
    server.probes = [saying(429, Retry_After="0"), saying(503, Retry_After="7200")]
    server.answers = [saying(503, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")]
    began = time.monotonic()
    fetch(source, tmp_path)
    assert 0.3 <= time.monotonic() - began < 60  # not the two hours it was told


def test_a_server_that_falls_silent_is_asked_again(source, server, tmp_path):
    server.answers = [lambda request: time.sleep(0.7) or request.hang_up()]
    assert fetch(source, tmp_path).read_bytes() == CONTENT


def drip(request):
    request.reply(200, length=len(CONTENT))
    for start in range(0, len(CONTENT), 40_000):
        request.wfile.write(CONTENT[start : start + 40_000])
        time.sleep(0.02)


def test_a_slow_drip_ends_in_the_whole_file(source, server, tmp_path):
    server.ranges, server.answers = False, [drip]
    assert fetch(source, tmp_path).read_bytes() == CONTENT


def test_a_redirect_is_followed(source, server, tmp_path):
    there = f"{server.url}/elsewhere/blob"
    server.probes, server.answers = [saying(302, Location=there)], [saying(307, Location=there)]
    assert fetch(source, tmp_path) == tmp_path / "data.zip"
    assert server.asked[-1][0] == "/data.zip/elsewhere/blob"


def test_a_proxy_of_the_environment_is_used(source, server, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/data.zip"))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert fetch({**source, "url": "http://far.invalid/data.zip"}, tmp_path).read_bytes() == CONTENT
    assert server.asked[0][0] == "http://far.invalid/data.zip"


def test_a_file_put_there_by_hand_is_recorded(source, server, tmp_path):
    (tmp_path / "data.zip").write_bytes(OTHER)
    assert fetch({**source, "sha256": None}, tmp_path).read_bytes() == OTHER
    assert json.loads((tmp_path / RECORD).read_text())["files"]["data.zip"]["bytes"] == 400_000
    assert server.asked == []


def test_a_large_file_tells_its_progress(source, server, tmp_path, capsys):
    server.content = CONTENT * 6
    fetch({**source, "sha256": hashlib.sha256(server.content).hexdigest()}, tmp_path)
    assert "data.zip, MiB: 2/2" in capsys.readouterr().err
