"""What the page's tests say to it: the names of its runs, the kinds of its content, an upload."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import Any

from steering.chat import server

JSON, BYTES = server.JSON, server.BYTES
EDIT, LOW, WHOLE = (f"tiny/mix/{arm}/seed0" for arm in ("edit", "low", "whole"))
Reply = tuple[int, Any, http.client.HTTPMessage]


def upload(send: Callable[..., Reply], content: bytes, kind: str = BYTES) -> Reply:
    return send("POST", "/api/upload", content, Content_Type=kind)
