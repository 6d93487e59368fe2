"""The page: this machine alone can reach it, and no other web page can use it.

It listens on 127.0.0.1 and nowhere else. A request whose Host is another name is refused, or a page elsewhere could
point its own name here (DNS rebinding); one that another page sends is refused by its Origin and by its type, which
no page may send elsewhere unasked. Nothing that a client sends is ever the name of a file.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

from steering.chat.answering import Answering
from steering.chat.pictures import MOST_BYTES
from steering.errors import DataError, ParamsError, SteeringError

HERE = "127.0.0.1"
PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
PICTURE = "/picture/"
MOST_JSON = 64_000
DRAINED = 64_000_000
"""Bytes of a body that is refused which are still read: a client that is not listened to does not listen either."""
JSON, BYTES = "application/json", "application/octet-stream"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Refused(SteeringError):
    """A request that is not served, with the code of HTTP that says so."""

    def __init__(self, status: HTTPStatus, words: str):
        self.status = status
        super().__init__(words)


class Page(ThreadingHTTPServer):
    """Serves the page of *answering* on *port* of this machine, 0 for any free one. ParamsError where it is taken."""

    daemon_threads = True

    def __init__(self, answering: Answering, port: int):
        self.answering = answering
        try:
            super().__init__((HERE, port), Handler)
        except (OSError, OverflowError) as error:
            raise ParamsError([f"port: {port}: {error}; allowed a free one, --port PORT"]) from error

    @property
    def hosts(self) -> set[str]:
        return {f"{name}:{self.server_port}" for name in (HERE, "localhost")}

    @property
    def address(self) -> str:
        return f"http://{HERE}:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    server: Page
    timeout = 60
    server_version, sys_version = "steering", ""

    def do_GET(self) -> None:
        self._serve(self._got)

    def do_POST(self) -> None:
        self._serve(self._posted)

    def _serve(self, reply: Callable[[], tuple[bytes, str]]) -> None:
        try:
            self._admit()
            self._send(HTTPStatus.OK, *reply())
        except Refused as error:
            self._tell(error.status, str(error))
        except SteeringError as error:
            self._tell(HTTPStatus.BAD_REQUEST, str(error))
        except (ConnectionError, TimeoutError):  # whoever asked has gone
            self.close_connection = True
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            self._tell(HTTPStatus.INTERNAL_SERVER_ERROR, f"{type(error).__name__}: {error}; the terminal tells more")

    def _admit(self) -> None:
        """Raises Refused for a request that comes by another name, or from another page."""
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        if host not in self.server.hosts:
            raise Refused(HTTPStatus.FORBIDDEN, f"Host: {host}; allowed {self.server.address}")
        if origin is not None and origin not in {f"http://{name}" for name in self.server.hosts}:
            raise Refused(HTTPStatus.FORBIDDEN, f"Origin: {origin}; allowed the page at {self.server.address}")

    def _got(self) -> tuple[bytes, str]:
        if self.path in PAGE:
            name, kind = PAGE[self.path]
            return files("steering.chat").joinpath("page", name).read_bytes(), kind
        if self.path.startswith(PICTURE):
            return self.server.answering.shown(self.path.removeprefix(PICTURE)), "image/png"
        raise Refused(HTTPStatus.NOT_FOUND, f"{self.path}: not there")

    def _posted(self) -> tuple[bytes, str]:
        answering = self.server.answering
        if self.path == "/api/upload":
            return _json(answering.keep(self._body(BYTES, most=MOST_BYTES)))
        replies: dict[str, Callable[[dict[str, Any]], Any]] = {
            "/api/state": lambda posted: answering.state,
            "/api/ask": answering.ask,
        }
        if self.path not in replies:
            raise Refused(HTTPStatus.NOT_FOUND, f"{self.path}: not there")
        return _json(replies[self.path](_parsed(self._body(JSON, most=MOST_JSON))))

    def _body(self, kind: str, *, most: int) -> bytes:
        """What was sent, of this *kind* and of *most* bytes; raises Refused for anything else."""
        found, length = self.headers.get("Content-Type", ""), self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "Content-Length: missing")
        if int(length) > most:
            self._drain(int(length))
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{int(length):,} bytes; allowed up to {most:,}")
        if found.split(";")[0].strip() != kind:
            self._drain(int(length))
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type: {found}; allowed {kind}")
        return self.rfile.read(int(length))

    def _drain(self, length: int) -> None:
        left = min(length, DRAINED)
        while left > 0 and (read := self.rfile.read(min(left, 1 << 16))):
            left -= len(read)

    def _tell(self, status: HTTPStatus, words: str) -> None:
        self._send(status, *_json({"error": words}))

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *words: Any) -> None:
        """Nothing: the terminal is for what goes wrong."""


def _json(told: Any) -> tuple[bytes, str]:
    return json.dumps(told).encode(), JSON


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        posted = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DataError("not JSON") from error
    if not isinstance(posted, dict):
        raise DataError("not a JSON object")
    return posted
