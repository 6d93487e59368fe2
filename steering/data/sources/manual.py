"""Files that a person fetches by hand: {"kind": "manual", "url", "file", "sha256" or "md5"?, "bytes"?}.

url: the page to fetch from; file: the name under which the file, or a folder of files, is put into FOLDER. It is held
to the checksum that is stated, else to what it was when it was first found there (see `promises`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from steering.data.sources.asking import PAGES, looks_like_page, page_fault
from steering.data.sources.http import BEGINNING_BYTES, check, http_promises
from steering.data.sources.promises import Promise, Source, record, recorded
from steering.data.sources.wording import without_credentials
from steering.errors import SourceError


def fetch_manual(source: Source, folder: Path) -> Path:
    """What a person put into *folder*; see `steering.data.sources.fetch`. SourceError says what to put where."""
    check(source)
    path, promises = folder / source["file"], manual_promises(source, folder)
    missing = [promise.path for promise in promises if not promise.path.is_file()]
    if missing or not promises:
        names = ", ".join(str(one) for one in (missing or [path])[:10])
        raise SourceError(f"{names}: not there; {by_hand(source, folder)}")
    if faults := [fault for promise in promises if (fault := _fault(promise))]:
        raise SourceError("\n".join([*faults, f"remove what is wrong; {by_hand(source, folder)}"]))
    if any(promise.origin == "none" for promise in promises):
        files = {promise.path.relative_to(folder).as_posix(): promise.path for promise in promises}
        record(folder, {"url": without_credentials(source["url"])}, files)
    return path


def manual_promises(source: Source, folder: Path) -> list[Promise]:
    """The file; of a folder every file in it, now or when it was first found."""
    path = folder / source["file"]
    known = {name: of for name, of in recorded(folder)["files"].items() if name.startswith(f"{source['file']}/")}
    if not path.is_dir() and not known:
        return http_promises(source, folder)
    there = {file.relative_to(folder).as_posix() for file in path.rglob("*") if file.is_file()}
    return [_of(folder / name, known.get(name, {})) for name in sorted(there | known.keys())]


def _of(path: Path, known: dict[str, Any]) -> Promise:
    return Promise(path, {"sha256": known["sha256"]}, known["bytes"], "recorded") if known else Promise(path)


def _fault(promise: Promise) -> str | None:
    name = promise.path.name
    if fault := promise.fault():
        return f"{promise.path}: {fault}"
    with open(promise.path, "rb") as file:
        beginning = file.read(BEGINNING_BYTES)
    if not promise.sums and looks_like_page(beginning) and not name.lower().endswith(PAGES):
        return f"{promise.path}: {page_fault(name, beginning)}"
    return None


def by_hand(source: Source, folder: Path) -> str:
    """What a person is to do, in one line."""
    return (
        f"this one is fetched by hand: open {without_credentials(source['url'])} and put it into {folder} as "
        f"{source['file']}, then run again"
    )
