"""A fetch that broke off goes on where it was, in one piece or in parts, and joins no two versions of a file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from steering.data.sources import fetch
from steering.errors import SourceError
from tests.data.file_server import CONTENT, OTHER, cutting, half_here, names, saying, serve

ROOT = Path(__file__).resolve().parents[2]


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


def test_a_mirror_stands_in_and_goes_on(source, server, tmp_path):
    half_here(source, server, tmp_path)
    mirror = server.url.replace("data.zip", "mirror/copy.zip")
    server.probes = [saying(404)]
    assert fetch({**source, "mirrors": [mirror]}, tmp_path).name == "data.zip"
    assert server.starts() == [100_000]
    assert server.asked[-1][0] == "/mirror/copy.zip"


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
