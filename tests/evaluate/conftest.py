"""The loopback endpoint of a judge, served while a test runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.evaluate.judge_endpoint import Endpoint, serving


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    with serving(monkeypatch) as server:
        yield server
