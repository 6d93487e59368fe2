"""Eight jobs that show their runs in the same moment, on a database that a rule has just made, all arrive whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from steering import layout
from tests.tracking.shown import TABLE, WORLD, differences, made_up

ROOT = Path(__file__).resolve().parents[2]
ARMS = [f"arm{number}" for number in range(8)]


@pytest.mark.slow
def test_eight_jobs_at_once_on_a_fresh_database_are_all_shown_whole_below_one_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    # in a process of its own, as the rule does: in this one MLflow may remember another folder's database
    made = [sys.executable, "-m", "stages.tracking_database", "mlflow.ready"]
    subprocess.run(made, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    Path("report.html").write_text("<p>")
    uri = f"sqlite:///{layout.DATABASE.resolve()}"
    command = [sys.executable, "-m", "tests.tracking.together", uri, str(tmp_path), *ARMS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(WORLD)
    assert experiment
    shown = client.search_runs([experiment.experiment_id])
    (table,) = (run for run in shown if run.info.run_name == TABLE)
    runs = {run.data.tags["arm"]: run for run in shown if run.info.run_id != table.info.run_id}
    assert sorted(runs) == ARMS
    assert {run.data.tags["mlflow.parentRunId"] for run in runs.values()} == {table.info.run_id}
    for arm, run in runs.items():
        assert differences(client, run.info.run_id, made_up(tmp_path, arm)) == []
    assert [told.path for told in client.list_artifacts(table.info.run_id)] == ["report.html"]
