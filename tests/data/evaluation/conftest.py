"""The official downloads in small, made once a module."""

from __future__ import annotations

from pathlib import Path

import pytest
from official_files import make_all


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_all(tmp_path_factory.mktemp("downloads"))
