"""The address of a tracking server: whether anybody answers there, and how to speak of it without its password."""

from __future__ import annotations

import re
import socket
from urllib.parse import unquote, urlsplit

from steering.metrics_log import TrackingError

PORTS = {"http": 80, "https": 443}


def refuse_silence(uri: str, *, wait_seconds: float) -> None:
    """Raises TrackingError where *uri* is a server's and nobody accepts a connection there within *wait_seconds*."""
    parts = urlsplit(uri)
    if parts.scheme not in PORTS:
        return
    try:
        port = parts.port or PORTS[parts.scheme]
    except ValueError:  # its text may hold a part of the password
        raise TrackingError(f"{public(uri)}: no number for a port; allowed http(s)://host:port") from None
    try:
        socket.create_connection((parts.hostname or "", port), timeout=wait_seconds).close()
    except OSError as fault:
        raise TrackingError(
            f"{public(uri)}: no tracking server answers ({fault}); start one, or leave the upload for later"
        ) from fault


def public(uri: str) -> str:
    """*uri* without a user name or password, even where a slash in the password breaks it as an address."""
    return re.sub(r"(?<=//).*@", "", uri)


def without_secrets(text: str, uri: str) -> str:
    """*text*, a fault's, without the password of *uri* in any spelling."""
    hidden = re.search(r"(?<=//).*(?=@)", uri)
    if not hidden:
        return text
    password = hidden[0].partition(":")[2]
    for secret in filter(None, (f"{hidden[0]}@", password, unquote(password))):
        text = text.replace(secret, "")
    return re.sub(r"(?<=//)[^/\s]*@", "", text)
