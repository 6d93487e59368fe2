"""The way to a server, which can be slow, be closed, or break after so many answers; loopback alone."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit


class Road:
    """Hands connections on to the server at *uri*, from an address of its own."""

    def __init__(self, uri: str):
        self._to = (urlsplit(uri).hostname or "", urlsplit(uri).port or 0)
        self._entry = socket.create_server(("127.0.0.1", 0))
        self.uri = f"http://127.0.0.1:{self._entry.getsockname()[1]}"
        self.passable, self.seconds, self.answers_left = True, 0.0, 10**9
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.passable = False
        with contextlib.suppress(OSError):
            self._entry.shutdown(socket.SHUT_RDWR)
        self._entry.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._carry, args=(self._entry.accept()[0],), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError), socket.create_connection(self._to) as far:
            while self.passable and self.answers_left > 0:
                for ready in select.select([near, far], [], [], 0.05)[0]:
                    if not (data := ready.recv(1 << 16)):
                        return
                    if ready is near:
                        far.sendall(data)
                    else:
                        self._answer(near, data)

    def _answer(self, near: socket.socket, data: bytes) -> None:
        if data.startswith(b"HTTP/"):
            self.answers_left -= 1
            time.sleep(self.seconds)
        if self.passable and self.answers_left > 0:
            near.sendall(data)


@contextlib.contextmanager
def road(uri: str) -> Iterator[Road]:
    made = Road(uri)
    try:
        yield made
    finally:
        made.close()
