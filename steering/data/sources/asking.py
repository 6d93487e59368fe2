"""One request to a server, and what its answer means: go on, try again later, or give up with a plain reason.

Proxies, certificates and .netrc come from the environment: HTTP_PROXY, HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE,
CURL_CA_BUNDLE, SSL_CERT_FILE.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import requests
from urllib3.exceptions import HTTPError

from steering.data.sources.spans import Remote
from steering.data.sources.wording import without_credentials
from steering.errors import SourceError

LATER = {408, 425, 429, 500, 502, 503, 504}
REASONS = {
    401: "it asks for a login; put it into ~/.netrc, or fetch the file by hand",
    403: "refused; a licence may have to be accepted first: fetch the file by hand",
    404: "not found; check the address, or name another in mirrors",
    410: "gone; name another address in mirrors",
}
PAGE_BYTES = 1 << 14
PAGES = (".html", ".htm")


@dataclass(frozen=True)
class Patience:
    """How often and how long a server is waited for; `slow_bytes` in `slow_seconds` is the least put up with."""

    attempts: int = 5
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 120.0
    connect_seconds: float = 15.0
    read_seconds: float = 60.0
    slow_seconds: float = 60.0
    slow_bytes: int = 1 << 16


class Broken(Exception):
    """A connection that may do better later: why, and for how long the server asks to be left alone."""

    def __init__(self, why: str, wait_seconds: float | None = None):
        super().__init__(why)
        self.wait_seconds = wait_seconds


class PageFault(SourceError):
    """A web page came instead of the file."""


def new_session() -> requests.Session:
    session = requests.Session()
    session.verify = os.environ.get("SSL_CERT_FILE") or True
    return session


def ask(session: requests.Session, url: str, headers: Mapping[str, str], patience: Patience) -> requests.Response:
    """The answer to one GET, its body unread; of the faults only 416 comes back as an answer.

    Raises Broken where a later attempt may do better, SourceError where none will.
    """
    allowed = {"Accept-Encoding": "identity", **headers}
    times = (patience.connect_seconds, patience.read_seconds)
    try:
        response = session.get(url, headers=allowed, stream=True, timeout=times)
    except (
        requests.exceptions.InvalidSchema,
        requests.exceptions.InvalidURL,
        requests.exceptions.MissingSchema,
    ) as odd:
        raise SourceError(f"{_first_line(odd)}; allowed are http and https, redirects included") from odd
    except requests.exceptions.SSLError as fault:
        raise SourceError(
            f"no trusted connection ({_first_line(fault)}); name your certificates in REQUESTS_CA_BUNDLE"
        ) from fault
    except requests.exceptions.TooManyRedirects as fault:
        raise SourceError(f"it redirects without end ({_first_line(fault)})") from fault
    except requests.RequestException as fault:
        raise Broken(_first_line(fault)) from fault
    except OSError as fault:
        raise SourceError(f"{_first_line(fault)}; check REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE, SSL_CERT_FILE") from fault
    return _judged(response)


def _judged(response: requests.Response) -> requests.Response:
    status = f"answered {response.status_code} {response.reason or ''}".rstrip()
    if response.status_code in LATER:
        response.close()
        raise Broken(status, _retry_after(response.headers.get("Retry-After")))
    if response.status_code == 416 or response.status_code in (200, 206):
        return response
    response.close()
    raise SourceError(f"{status}: {REASONS.get(response.status_code, 'nothing to fetch there; check the address')}")


def look(session: requests.Session, url: str, name: str, patience: Patience) -> Remote:
    """What the server has at *url*, from a request for its first byte; PageFault for a page where *name* is none."""
    with closing(ask(session, url, {"Range": "bytes=0-0"}, patience)) as response:
        _refuse_page(response, name)
        length = response.headers.get("Content-Length", "")
        size = int(length) if length.isdigit() and response.status_code == 200 else content_range(response)[1]
        return Remote(url, size, validator_of(response), ranges=response.status_code == 206)


def validator_of(response: requests.Response) -> str | None:
    """What names this version of the file, fit for If-Range: its ETag unless that is weak, else its date."""
    etag = response.headers.get("ETag", "")
    return response.headers.get("Last-Modified") if not etag or etag.startswith("W/") else etag


def content_range(response: requests.Response) -> tuple[int | None, int | None]:
    """First byte and whole length that a 206 or 416 states; None for what it does not."""
    found = re.match(r"bytes\s+(?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", ""))
    first, total = found.groups() if found else (None, None)
    return (int(first) if first else None), (int(total) if total and total != "*" else None)


def looks_like_page(beginning: bytes) -> bool:
    return re.match(rb"(\xef\xbb\xbf)?\s*<(!doctype html|html|head)", beginning[:PAGE_BYTES], re.IGNORECASE) is not None


def page_fault(name: str, body: bytes) -> PageFault:
    title = re.search(rb"<title[^>]*>(.*?)</title>", body, re.IGNORECASE | re.DOTALL)
    told = f" titled {' '.join(title[1].decode('utf-8', 'replace').split())[:120]!r}" if title else ""
    return PageFault(
        f"a web page{told} came instead of {name}; open the address in a browser, it may ask for a login, "
        "a licence or a confirmation"
    )


def _refuse_page(response: requests.Response, name: str) -> None:
    page = response.status_code != 416 and "html" in response.headers.get("Content-Type", "")
    if not page or name.lower().endswith(PAGES):
        return
    try:
        body = response.raw.read(PAGE_BYTES, decode_content=True) or b""
    except (HTTPError, OSError):
        body = b"<"
    if body.lstrip()[:1] in (b"<", b""):
        raise page_fault(name, body)


def _retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After asks for, as a number or as a date; None where it asks nothing sensible."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _first_line(fault: BaseException) -> str:
    """The innermost reason of a chain of wrapped errors, in one line."""
    text = without_credentials(str(fault)).strip() or type(fault).__name__
    told = re.search(r"(?:Caused by \w+\()(.*?)\)*$", text.splitlines()[0])
    return (told[1] if told else text.splitlines()[0])[:300]
