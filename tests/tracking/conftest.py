"""One fresh database for all that needs no server, and one server over another for all that does."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from steering.tracking import initialise
from tests.tracking.servers import serving


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mlflow")
    initialise(f"sqlite:///{folder / 'mlflow.db'}", str(folder / "artifacts"))
    return folder / "mlflow.db"


@pytest.fixture
def uri(database: Path) -> str:
    return f"sqlite:///{database}"


@pytest.fixture
def client(uri: str) -> MlflowClient:
    return MlflowClient(uri)


@pytest.fixture
def held(database: Path) -> Callable[[], list[str]]:
    """All that the database holds, as text."""

    def dump() -> list[str]:
        with sqlite3.connect(database) as connection:
            return list(connection.iterdump())

    return dump


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    database = f"sqlite:///{folder / 'mlflow.db'}"
    initialise(database, str(folder / "artifacts"))
    with serving(folder, "--backend-store-uri", database) as uri:
        yield uri
