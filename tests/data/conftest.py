"""A server for tests to fetch from, and the entry of a source that it serves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from steering.data.sources import transfer
from steering.data.sources.asking import Patience
from tests.data.file_server import SUM, Server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(transfer, "PATIENCE", Patience(attempts=4, first_wait_seconds=0.01, read_seconds=0.5))
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def source(server: Server) -> dict[str, Any]:
    return {"kind": "http", "url": server.url, "sha256": SUM, "licence": "MIT", "attribution": "nobody"}
