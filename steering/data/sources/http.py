"""One file behind an address: {"kind": "http", "url", "sha256" or "md5", "bytes"?, "mirrors"?, "file"?, "parts"?}.

The file goes into FOLDER under the last segment of its URL, or under "file"; while it comes it is FOLDER/.NAME.part.
A fetch that is ended in any way goes on where it was, from the same address or, where a checksum is known, from a
mirror. Where no checksum is stated the one of the first fetch is recorded and held to (see `promises`); a file that was
put there by hand is taken as that first fetch. parts: how many spans come side by side (default: by the length).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from steering.data.sources.asking import PAGES, looks_like_page, page_fault
from steering.data.sources.promises import RECORD, Promise, Source, record, recorded, stated
from steering.data.sources.spans import forget, told_beside
from steering.data.sources.transfer import bring
from steering.data.sources.wording import label, without_credentials
from steering.errors import SourceError

HEX_DIGITS = {"sha256": 64, "md5": 32}
MOST_PARTS = 16
BEGINNING_BYTES = 1 << 14
KEPT_NAMES = ("manifest.json", RECORD)


def fetch_http(source: Source, folder: Path) -> Path:
    """The file of an http source; see `steering.data.sources.fetch`."""
    check(source)
    (promise,) = http_promises(source, folder)
    if promise.fault() is None:
        _record(source, folder, promise, promise.path)
        return promise.path
    part = folder / f".{promise.path.name}.part"
    _bring_any(source, promise, part)
    _record(source, folder, promise, part)
    os.replace(part, promise.path)
    told_beside(part).unlink(missing_ok=True)
    return promise.path


def http_promises(source: Source, folder: Path) -> list[Promise]:
    """The one file in *folder*: its checksum as stated, else as recorded."""
    name = _file_name(source)
    if sums := stated(source):
        return [Promise(folder / name, sums, source.get("bytes"), "known")]
    known = recorded(folder)["files"].get(name)
    if known is None:
        return [Promise(folder / name, {}, source.get("bytes"), "none")]
    return [Promise(folder / name, {"sha256": known["sha256"]}, source.get("bytes") or known["bytes"], "recorded")]


def _bring_any(source: Source, promise: Promise, part: Path) -> None:
    """Fetch from the first address that gives the right file; SourceError with the fault of each where none does."""
    faults = []
    for url in _addresses(source):
        try:
            return _bring_right(url, source, promise, part)
        except SourceError as fault:
            faults.append(f"source {without_credentials(url)}: {fault}")
    raise SourceError("\n".join(faults))


def _bring_right(url: str, source: Source, promise: Promise, part: Path) -> None:
    """Fetch *url*; a file joined from pieces that turns out wrong is fetched once more as a whole."""
    name, size = promise.path.name, source.get("bytes")  # a recorded length is not held against the server's:
    checked = bool(promise.sums)  # the checksum tells the old and the new
    joined = bring(url, part, name=name, size=size, parts=source.get("parts"), checked=checked)
    fault = _fault(promise, part)
    if fault and joined:
        forget(part)
        bring(url, part, name=name, size=size, parts=1, checked=checked)
        fault = _fault(promise, part)
    if fault:
        forget(part)
        raise fault


def _fault(promise: Promise, part: Path) -> SourceError | None:
    with open(part, "rb") as file:
        beginning = file.read(BEGINNING_BYTES)
    why = promise.fault(part)
    if looks_like_page(beginning) and not promise.path.name.lower().endswith(PAGES) and (why or not promise.sums):
        return page_fault(promise.path.name, beginning)
    if why is None:
        return None
    if promise.origin == "recorded":
        return SourceError(
            f"{promise.path.name}: {why}; expected is what the first fetch recorded in {promise.path.parent / RECORD}. "
            "Compare; to take the new file remove that record, to keep the old one put it back by hand"
        )
    return SourceError(
        f"{promise.path.name}: {why}; the file was removed. Upstream may have changed it: compare before you change "
        "the checksum"
    )


def _record(source: Source, folder: Path, promise: Promise, path: Path) -> None:
    """Hold later fetches to the bytes at *path*, where nothing holds them yet."""
    if promise.origin == "none":
        record(folder, {"url": without_credentials(source["url"])}, {promise.path.name: path})


def check(source: Source) -> None:
    """Raises SourceError with all that is wrong in the entry itself."""
    faults = [] if source.get("url") else ["url: missing; a source needs url, and sha256 or md5 where known"]
    for url in _addresses(source):
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            faults.append(f"{without_credentials(url)}: not an address that is allowed; allowed are http and https")
    for name, digits in HEX_DIGITS.items():
        if source.get(name) and not re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", str(source[name])):
            faults.append(f"{name}: {source[name]}; allowed are {digits} hexadecimal digits")
    if not 1 <= (source.get("parts") or 1) <= MOST_PARTS:
        faults.append(f"parts: {source['parts']}; allowed are 1 to {MOST_PARTS}")
    name = _file_name(source) if source.get("url") else "file"
    if "/" in name or "\\" in name or name.startswith(".") or name in ("", *KEPT_NAMES):
        faults.append(f"file: {name!r}; allowed is a plain name other than {', '.join(KEPT_NAMES)}")
    if faults:
        raise SourceError("\n".join(f"source {label(source)}: {fault}" for fault in faults))


def _addresses(source: Source) -> list[str]:
    return [url for url in (source.get("url"), *(source.get("mirrors") or ())) if url]


def _file_name(source: Source) -> str:
    return source.get("file") or unquote(urlsplit(source["url"]).path).rsplit("/", 1)[-1]
