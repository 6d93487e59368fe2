"""A judge's endpoint on the loopback that answers by a script, and what tests ask it."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from steering.evaluate.judge import JudgeQuestion, JudgeSettings, Verdict, ask_judge

KEY = "sk-very-secret-4711"
Reply = tuple[int, dict[str, str], bytes]


def reply(text: str | None, **more: Any) -> Reply:
    return 200, {}, json.dumps({"model": "judge-0613", "choices": [{"message": {"content": text}}], **more}).encode()


class Endpoint(http.server.ThreadingHTTPServer):
    """Answers the n-th request with the n-th of *script* (the last for ever): (status, headers, body) or a callable."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.requests, self.headers, self.paths = [reply("0.5")], [], [], []
        self.now, self.most, self.lock = 0, 0, threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, *_: Any) -> None:
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            at = len(self.server.requests)
            self.server.requests.append(body)
            self.server.headers.append(dict(self.headers))
            self.server.paths.append(self.path)
            self.server.now += 1
            self.server.most = max(self.server.most, self.server.now)
        try:
            self.answer(self.server.script[min(at, len(self.server.script) - 1)], body)
        finally:
            with self.server.lock:
                self.server.now -= 1

    def answer(self, step: Reply | Callable[..., Reply | None], body: dict[str, Any]) -> None:
        step = step(self, body) if callable(step) else step
        if step is None:
            return
        status, headers, content = step
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """An endpoint that listens on loopback until the block ends; the judge's key is in the environment."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("JUDGE_KEY", KEY)
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def settings(endpoint: Endpoint, **more: Any) -> JudgeSettings:
    about = {"model": "gpt", "key_variable": "JUDGE_KEY", "pause_seconds": 0.01, "timeout_seconds": 5, "tries": 3}
    return JudgeSettings(**{"url": endpoint.url, **about, **more})


def question(name: str = "q1", **more: Any) -> JudgeQuestion:
    return JudgeQuestion(name, f"prompt of {name}", f"prediction of {name}", **more)


def number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def ask(endpoint: Endpoint, tmp_path: Path, *questions: JudgeQuestion, **more: Any) -> dict[str, Verdict]:
    return ask_judge(
        settings(endpoint, **more), questions or [question()], read=number, cache=tmp_path / "cache" / "judge.jsonl"
    )
