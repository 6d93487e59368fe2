"""An OpenAI-compatible endpoint: a body out, the reply back, every fault with what is to be done about it."""

from __future__ import annotations

import http.client
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from steering.evaluate.judge.settings import JudgeSettings

LONGEST_BODY_BYTES = 4 << 20
SHOWN_CHARACTERS = 160
STATUS_STOPS = {
    401: "the key is refused",
    403: "the key may not use it",
    404: "no such address or model",
}


class Refused(Exception):
    """Why there is no reply, and what then: "again" after a pause, "skip" this question, or "stop" asking any."""

    def __init__(self, why: str, then: str, pause: float = 0.0):
        super().__init__(why)
        self.then, self.pause = then, pause


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to another host, and turn the question into a GET."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Endpoint:
    """Bodies out, (reply, name of the model) back, all faults as Refused."""

    def __init__(self, settings: JudgeSettings):
        self._key, self._timeout = settings.key(), settings.timeout_seconds
        self._address = settings.url.rstrip("/") + "/chat/completions"
        self._opener = urllib.request.build_opener(_NoRedirect)

    def __call__(self, body: Mapping[str, Any]) -> tuple[str, str]:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self._key}"} if self._key else {})
        request = urllib.request.Request(self._address, json.dumps(body).encode(), headers)
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                return self._read(self._bytes(response))
        except urllib.error.HTTPError as fault:
            with fault:
                raise self._status(fault) from None
        except (OSError, http.client.HTTPException, UnicodeError) as fault:
            raise self._dropped(fault) from None

    def _bytes(self, response: Any) -> bytes:
        """The body within the time and size that a reply may take, however slowly it drips."""
        late, parts, size = time.monotonic() + self._timeout, [], 0
        while part := response.read1(1 << 16):
            parts.append(part)
            size += len(part)
            if time.monotonic() > late:
                raise TimeoutError
            if size > LONGEST_BODY_BYTES:
                raise Refused(f"reply of more than {LONGEST_BODY_BYTES} bytes", "skip")
        return b"".join(parts)

    def _read(self, content: bytes) -> tuple[str, str]:
        text = content.decode("utf-8", "replace")
        try:
            found = json.loads(text)
            reply = found["choices"][0]["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError, RecursionError):
            raise Refused(f"reply without choices[0].message.content: {self._safe(text)}", "again") from None
        return self._hidden(str(reply or "")), self._hidden(str(found.get("model") or ""))

    def _status(self, fault: urllib.error.HTTPError) -> Refused:
        if fault.code in STATUS_STOPS or 300 <= fault.code < 400:
            why = STATUS_STOPS.get(fault.code, "it redirects; give the address that it redirects to")
            return Refused(f"HTTP {fault.code}: {why}", "stop")
        try:
            text = fault.read(LONGEST_BODY_BYTES).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            text = ""
        then = "again" if fault.code in (408, 425, 429) or fault.code >= 500 else "skip"
        pause = _retry_after(fault.headers.get("Retry-After")) if then == "again" else 0.0
        asked = f", Retry-After {pause:.0f} s" if pause else ""
        return Refused(
            f"HTTP {fault.code}{asked}: {self._safe(text)}", "stop" if "insufficient_quota" in text else then, pause
        )

    def _dropped(self, fault: Exception) -> Refused:
        reason = getattr(fault, "reason", fault)
        if isinstance(reason, ssl.SSLCertVerificationError):
            return Refused(f"certificate: {reason.verify_message}", "stop")
        if isinstance(reason, TimeoutError):
            return Refused(f"no reply within {self._timeout:g} s", "again")
        return Refused(f"connection: {type(reason).__name__}: {self._safe(str(reason))}", "again")

    def _hidden(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text

    def _safe(self, text: str) -> str:
        return shown(self._hidden(text))


def shown(text: str) -> str:
    return repr(" ".join(text.split())[:SHOWN_CHARACTERS])


def _retry_after(header: str | None) -> float:
    """Seconds of a Retry-After header, which holds seconds or a date; 0 without one that can be read."""
    try:
        return max(0.0, float(header or 0))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(str(header)).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0
