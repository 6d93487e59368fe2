"""A file server on the loopback whose manners a test sets, and what it serves."""

from __future__ import annotations

import hashlib
import random
import re
import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from steering.data.sources import fetch
from steering.errors import SourceError

CONTENT = random.Random(0).randbytes(400_000)
OTHER = random.Random(1).randbytes(400_000)
SUM = hashlib.sha256(CONTENT).hexdigest()
PAGE = b"<!DOCTYPE html><html><head><title>Quota\n exceeded</title></head></html>"


class Server(ThreadingHTTPServer):
    """A file server whose manners a test sets; `asked` keeps the path and headers of every request."""

    daemon_threads = True

    def __init__(self) -> None:
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

    def handle_error(self, *_: Any) -> None:
        """A client that has hung up is no news."""

    def starts(self) -> list[int]:
        """The first byte of each request but the probes."""
        wanted = [headers.get("Range", "bytes=0-") for _, headers in self.asked]
        return [int(re.findall(r"\d+", ask)[0]) for ask in wanted if ask != "bytes=0-0"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        probe = self.headers.get("Range") == "bytes=0-0"
        script = self.server.probes if probe else self.server.answers
        (script.pop(0) if script else serve)(self)

    def reply(self, status: int, body: bytes = b"", length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        told = {"Content-Length": str(len(body) if length is None else length), **self.server.headers}
        for name, value in (told | {name.replace("_", "-"): value for name, value in headers.items()}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def hang_up(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: Any) -> None:
        pass


def span_of(request: Handler) -> tuple[int, int] | None:
    """Start and end of the range asked for; None for the whole file."""
    server, asked = request.server, request.headers.get("Range")
    if not server.ranges or not asked or request.headers.get("If-Range") not in (None, server.etag):
        return None
    start, end = re.match(r"bytes=(\d+)-(\d*)", asked).groups()
    return int(start), int(end) + 1 if end else len(server.content)


def serve(request: Handler, *, cut: int | None = None) -> None:
    """What a plain file server answers; *cut*: drop the connection after so many bytes."""
    server, span = request.server, span_of(request)
    cut = server.cut if cut is None else cut
    etag = {"ETag": server.etag} if server.etag else {}
    start, end = span or (0, len(server.content))
    ranged = {"Content_Range": f"bytes {start}-{end - 1}/{len(server.content)}"} if span else {}
    request.reply(206 if span else 200, server.content[start:end][:cut], end - start, **etag, **ranged)
    if cut is not None and cut < end - start:
        request.hang_up()


def cutting(count: int) -> Callable[[Handler], None]:
    return lambda request: serve(request, cut=count)


def saying(status: int, body: bytes = b"", **headers: str) -> Callable[[Handler], None]:
    return lambda request: request.reply(status, body, **headers)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def half_here(source: dict[str, Any], server: Server, folder: Path) -> None:
    """Leave an interrupted fetch in *folder* that has the first 100,000 bytes."""
    server.answers = [cutting(100_000), *[cutting(0)] * 3]
    with pytest.raises(SourceError, match="the connection broke after 100,000 bytes.*4 times"):
        fetch(source, folder)
    server.answers, server.asked = [], []
