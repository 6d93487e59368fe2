"""A server for a group: MLflow over PostgreSQL with an artifact store of its own, filled by two processes at once."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.tracking.needed import needed
from tests.tracking.servers import free_port, serving
from tests.tracking.shown import TABLE, WORLD, differences, made_up

ROOT = Path(__file__).resolve().parents[2]
ARMS = ("first", "second_")
USER = "postgres"

pytestmark = pytest.mark.slow


def programs() -> Path:
    """Where PostgreSQL's programs are; Debian keeps those that run a cluster off PATH, by version."""
    newest = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return Path(needed("initdb", package="postgresql", beside=newest[-1] if newest else None)).resolve().parent


def as_postgres(*command: str) -> None:
    """Run *command* as the user that PostgreSQL wants, which is not root."""
    told = {"user": USER, "group": USER, "extra_groups": []} if os.geteuid() == 0 else {}
    done = subprocess.run(command, cwd="/tmp", capture_output=True, text=True, **told)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of an empty database of a private cluster on loopback."""
    found, port = programs(), free_port()
    with tempfile.TemporaryDirectory(prefix="cluster") as folder:  # a short path: a socket's may have 107 letters
        if os.geteuid() == 0:
            shutil.chown(folder, USER, USER)
        data, owner = f"{folder}/data", USER if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        as_postgres(str(found / "initdb"), "-D", data, "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync=off"
        as_postgres(str(found / "pg_ctl"), "-D", data, "-o", options, "-l", f"{folder}/log", "-w", "start")
        try:
            as_postgres(str(found / "createdb"), "-h", "127.0.0.1", "-p", str(port), "mlflow")
            yield f"postgresql://{owner}@127.0.0.1:{port}/mlflow"
        finally:
            as_postgres(str(found / "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop")


@pytest.fixture(scope="module")
def server(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    store = ["--serve-artifacts", "--artifacts-destination", str(folder / "artifacts")]
    with serving(folder, "--backend-store-uri", cluster, *store) as uri:
        yield uri


def upload_all(server: str, folder: Path) -> None:
    command = [sys.executable, "-m", "tests.tracking.together", server, str(folder), *ARMS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_two_processes_fill_it_at_once_and_a_second_sync_changes_nothing(server: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<p>")
    client, seen = MlflowClient(server), []
    for _ in range(2):
        upload_all(server, tmp_path)
        experiment = client.get_experiment_by_name(WORLD)
        assert experiment
        shown = client.search_runs([experiment.experiment_id])
        table = next(run for run in shown if run.info.run_name == TABLE)
        runs = {run.data.tags["arm"]: run for run in shown if run.info.run_id != table.info.run_id}
        assert sorted(runs) == sorted(ARMS)
        for arm, run in runs.items():
            assert differences(client, run.info.run_id, made_up(tmp_path, arm)) == []
            assert run.data.tags["mlflow.parentRunId"] == table.info.run_id
        assert Path(client.download_artifacts(table.info.run_id, "report.html")).read_text() == "<p>"
        seen.append((sorted(run.info.run_id for run in shown), len(client.search_model_versions())))
    assert seen[0] == seen[1]
    assert table.info.artifact_uri.startswith("mlflow-artifacts:/")
