"""How a source, its address and its size are named to a person: never with credentials."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

SECRET = re.compile(r"(?<=[?&])([^=&\s]*(?:token|key|sig|secret|password|credential)[^=&\s]*)=[^&\s]*", re.IGNORECASE)


def label(source: Mapping[str, Any]) -> str:
    """package==version, the URL, or repo@revision."""
    if source.get("url"):
        return without_credentials(str(source["url"]))
    if source.get("repo"):
        return f"{source['repo']}@{str(source.get('revision', '?'))[:12]}"
    return f"{source.get('package', '?')}=={source.get('version', '?')}"


def without_credentials(text: str) -> str:
    """*text* with the user and password of every URL taken out, and the values of secret query fields hidden."""
    return SECRET.sub(r"\1=...", re.sub(r"(?<=://)[^/\s]+@", "", text))


def gigabytes(count: int) -> str:
    """Bytes as GB (10^9), to three figures."""
    return f"{count / 1e9:.3g} GB"
