"""One cluster for all tests here, and one project whose data and connector are made once."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster, ClusterError
from projects import environment, make_project


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    try:
        running = Cluster(cpus=2, gpus=1).__enter__()
    except ClusterError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    yield running
    running.__exit__()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory, make_language_model, tokenizer) -> Path:
    """A project whose data, base model and connector are there: what remains are runs."""
    folder = make_project(tmp_path_factory.mktemp("prepared"), (make_language_model, tokenizer))
    targets = ["data/3b/mixtures/scienceqa.json", "checkpoints/connectors/3b/seed0/manifest.json"]
    asked = ["data/3b/checks/gqa_eval.json", "mlflow.ready"]
    command = ["snakemake", "--cores", "2", *targets, *asked]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.fixture
def project(prepared, tmp_path) -> Path:
    """A copy of the prepared project, with its times, so that nothing in it runs again."""
    folder = tmp_path / "project"
    shutil.copytree(prepared, folder, symlinks=True)
    return folder
