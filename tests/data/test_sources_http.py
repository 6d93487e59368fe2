"""Whatever a server does, a fetch ends in the whole right file or in one line that says what was wrong."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from steering.data.sources import RECORD, fetch, transfer
from steering.data.sources.asking import Patience
from steering.errors import SourceError

ROOT = Path(__file__).resolve().parents[2]
CONTENT = random.Random(0).randbytes(400_000)
OTHER = random.Random(1).randbytes(400_000)
SUM = hashlib.sha256(CONTENT).hexdigest()
PAGE = b"<!DOCTYPE html><html><head><title>Quota\n exceeded</title></head></html>"


class Server(ThreadingHTTPServer):
    """A file server whose manners a test sets; `asked` keeps the path and headers of every request."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.etag = CONTENT, '"one"'
        self.headers: dict[str, str] = {}
        self.ranges = True
        self.answers: list = []  # for the requests after the probe: each takes the next, then all are served
        self.probes: list = []  # the same for probes
        self.cut: int | None = None
        self.asked: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/data.zip"

    def handle_error(self, *_):
        """A client that has hung up is no news."""

    def starts(self) -> list[int]:
        """The first byte of each request but the probes."""
        wanted = [headers.get("Range", "bytes=0-") for _, headers in self.asked]
        return [int(re.findall(r"\d+", ask)[0]) for ask in wanted if ask != "bytes=0-0"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self):
        self.server.asked.append((self.path, dict(self.headers)))
        probe = self.headers.get("Range") == "bytes=0-0"
        script = self.server.probes if probe else self.server.answers
        (script.pop(0) if script else serve)(self)

    def reply(self, status: int, body: bytes = b"", length: int | None = None, **headers: str):
        self.send_response(status)
        told = {"Content-Length": str(len(body) if length is None else length), **self.server.headers}
        for name, value in (told | {name.replace("_", "-"): value for name, value in headers.items()}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def hang_up(self):
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_):
        pass


def span_of(request: Handler) -> tuple[int, int] | None:
    """Start and end of the range asked for; None for the whole file."""
    server, asked = request.server, request.headers.get("Range")
    if not server.ranges or not asked or request.headers.get("If-Range") not in (None, server.etag):
        return None
    start, end = re.match(r"bytes=(\d+)-(\d*)", asked).groups()
    return int(start), int(end) + 1 if end else len(server.content)


def serve(request: Handler, *, cut: int | None = None):
    """What a plain file server answers; *cut*: drop the connection after so many bytes."""
    server, span = request.server, span_of(request)
    cut = server.cut if cut is None else cut
    etag = {"ETag": server.etag} if server.etag else {}
    start, end = span or (0, len(server.content))
    ranged = {"Content_Range": f"bytes {start}-{end - 1}/{len(server.content)}"} if span else {}
    request.reply(206 if span else 200, server.content[start:end][:cut], end - start, **etag, **ranged)
    if cut is not None and cut < end - start:
        request.hang_up()


def cutting(count: int):
    return lambda request: serve(request, cut=count)


def saying(status: int, body: bytes = b"", **headers: str):
    return lambda request: request.reply(status, body, **headers)


@pytest.fixture
def server(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(transfer, "PATIENCE", Patience(attempts=4, first_wait_seconds=0.01, read_seconds=0.5))
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def source(server):
    return {"kind": "http", "url": server.url, "sha256": SUM, "licence": "MIT", "attribution": "nobody"}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def half_here(source, server, folder):
    """Leave an interrupted fetch in *folder* that has the first 100,000 bytes."""
    server.answers = [cutting(100_000), *[cutting(0)] * 3]
    with pytest.raises(SourceError, match="the connection broke after 100,000 bytes.*4 times"):
        fetch(source, folder)
    server.answers, server.asked = [], []


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


def test_a_dropped_connection_goes_on_where_it_was(source, server, tmp_path):
    server.answers = [cutting(150_000), cutting(100_000)]
    assert fetch(source, tmp_path).read_bytes() == CONTENT
    assert server.starts() == [0, 150_000, 250_000]
    assert server.asked[-1][1]["If-Range"] == '"one"'


def test_many_drops_are_endured_as_long_as_bytes_come(source, server, tmp_path):
    server.cut = 30_000
    assert fetch(source, tmp_path).read_bytes() == CONTENT
    assert len(server.starts()) == 14


def test_a_later_run_goes_on_where_the_last_ended(source, server, tmp_path):
    half_here(source, server, tmp_path)
    assert names(tmp_path) == [".data.zip.part", ".data.zip.part.json"]
    assert fetch(source, tmp_path).read_bytes() == CONTENT
    assert server.starts() == [100_000]
    assert names(tmp_path) == ["data.zip"]


def test_a_file_that_changed_meanwhile_is_fetched_whole(source, server, tmp_path):
    half_here({**source, "sha256": None}, server, tmp_path)
    server.content, server.etag = OTHER, '"two"'
    assert fetch({**source, "sha256": None}, tmp_path).read_bytes() == OTHER
    assert server.starts() == [0]


def test_a_file_that_changes_between_two_requests_is_fetched_whole(source, server, tmp_path):
    def change(request):
        serve(request, cut=100_000)
        server.content, server.etag = OTHER, '"two"'

    server.answers = [change]
    assert fetch({**source, "sha256": None}, tmp_path).read_bytes() == OTHER
    assert server.starts() == [0, 100_000, 0]


def test_a_change_that_the_server_does_not_tell_ends_in_the_right_file(source, server, tmp_path):
    server.content = OTHER
    half_here(source, server, tmp_path)
    server.content = CONTENT
    assert fetch(source, tmp_path).read_bytes() == CONTENT


def test_without_checksum_and_version_nothing_is_joined(source, server, tmp_path):
    server.etag = None
    half_here({**source, "sha256": None}, server, tmp_path)
    assert fetch({**source, "sha256": None}, tmp_path).read_bytes() == CONTENT
    assert server.starts() == [0]


def test_a_server_that_ignores_ranges_gives_the_whole(source, server, tmp_path):
    half_here(source, server, tmp_path)
    server.ranges = False
    server.answers = [cutting(50_000)]
    assert fetch({**source, "parts": 4}, tmp_path).read_bytes() == CONTENT
    assert server.starts() == [0, 0]


def test_a_server_that_takes_back_its_ranges_gives_the_whole(source, server, tmp_path):
    server.answers = [cutting(50_000), saying(416)]
    assert fetch(source, tmp_path).read_bytes() == CONTENT
    assert server.starts() == [0, 50_000, 0]


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


def test_parts_come_side_by_side_and_a_failing_one_is_retried_alone(source, server, tmp_path):
    server.answers = [cutting(30_000)]
    assert fetch({**source, "parts": 4}, tmp_path).read_bytes() == CONTENT
    starts = server.starts()
    assert len(starts) == 5
    assert {0, 100_000, 200_000, 300_000} < set(starts)
    assert next(start for start in starts if start % 100_000) % 100_000 == 30_000


def test_a_server_that_allows_one_connection_still_gives_all_parts(source, server, tmp_path):
    turn = threading.Lock()

    def one_at_a_time(request):
        if not turn.acquire(blocking=False):
            return request.reply(503)
        try:
            time.sleep(0.1)
            serve(request)
        finally:
            turn.release()

    server.answers = [one_at_a_time] * 100
    assert fetch({**source, "parts": 4}, tmp_path).read_bytes() == CONTENT


def test_an_interrupted_fetch_in_parts_goes_on_in_its_parts(source, server, tmp_path):
    server.answers = [cutting(60_000), cutting(60_000), *[cutting(0)] * 40]
    with pytest.raises(SourceError, match="what came is kept"):
        fetch({**source, "parts": 2}, tmp_path)
    server.answers, server.asked = [], []
    assert fetch({**source, "parts": 2}, tmp_path).read_bytes() == CONTENT
    assert sorted(server.starts()) == [60_000, 260_000]


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


def test_a_server_that_stays_busy_is_told_in_one_line(source, server, tmp_path):
    server.probes = [saying(503)] * 9
    with pytest.raises(SourceError, match=r"answered 503 Service Unavailable, 4 times; check the network") as caught:
        fetch(source, tmp_path)
    assert str(caught.value).startswith(f"source {server.url}: ")
    assert "\n" not in str(caught.value)


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


def test_a_redirect_is_followed(source, server, tmp_path):
    there = f"{server.url}/elsewhere/blob"
    server.probes, server.answers = [saying(302, Location=there)], [saying(307, Location=there)]
    assert fetch(source, tmp_path) == tmp_path / "data.zip"
    assert server.asked[-1][0] == "/data.zip/elsewhere/blob"


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


def test_a_mirror_stands_in_and_goes_on(source, server, tmp_path):
    half_here(source, server, tmp_path)
    mirror = server.url.replace("data.zip", "mirror/copy.zip")
    server.probes = [saying(404)]
    assert fetch({**source, "mirrors": [mirror]}, tmp_path).name == "data.zip"
    assert server.starts() == [100_000]
    assert server.asked[-1][0] == "/mirror/copy.zip"


def test_where_all_mirrors_fail_each_is_told(source, server, tmp_path):
    server.probes = [saying(404), saying(403)]
    with pytest.raises(SourceError, match="(?s)data.zip: answered 404.*\nsource .*b.zip: answered 403"):
        fetch({**source, "mirrors": [server.url.replace("data", "b")]}, tmp_path)


def test_a_proxy_of_the_environment_is_used(source, server, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/data.zip"))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert fetch({**source, "url": "http://far.invalid/data.zip"}, tmp_path).read_bytes() == CONTENT
    assert server.asked[0][0] == "http://far.invalid/data.zip"


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


def test_a_file_put_there_by_hand_is_recorded(source, server, tmp_path):
    (tmp_path / "data.zip").write_bytes(OTHER)
    assert fetch({**source, "sha256": None}, tmp_path).read_bytes() == OTHER
    assert json.loads((tmp_path / RECORD).read_text())["files"]["data.zip"]["bytes"] == 400_000
    assert server.asked == []


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


def test_a_large_file_tells_its_progress(source, server, tmp_path, capsys):
    server.content = CONTENT * 6
    fetch({**source, "sha256": hashlib.sha256(server.content).hexdigest()}, tmp_path)
    assert "data.zip, MiB: 2/2" in capsys.readouterr().err


CHILD = """
import json, sys
from pathlib import Path
from types import SimpleNamespace
from steering.data.sources import fetch, transfer
transfer.SAVE_SECONDS = transfer.WATCH_SECONDS = 0.02
fetch(json.loads(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_killed_fetch_goes_on_from_what_was_written_down(source, server, tmp_path):
    def stall(request):
        request.reply(206, CONTENT[:250_000], len(CONTENT), Content_Range="bytes 0-399999/400000", ETag='"one"')
        stalled.wait(20)

    stalled = threading.Event()
    server.answers = [stall]
    told = tmp_path / ".data.zip.part.json"
    child = subprocess.Popen([sys.executable, "-c", CHILD, json.dumps(source), str(tmp_path)], cwd=ROOT)
    try:
        deadline = time.monotonic() + 20
        while not (told.exists() and json.loads(told.read_text())["spans"][0]["done"] == 250_000):
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        stalled.set()
    server.asked = []
    assert fetch(source, tmp_path).read_bytes() == CONTENT
    assert server.asked[-1][1]["Range"] == "bytes=250000-399999"
