"""`python -m stages.partial`: only runs that are done by today's params.yaml are reported."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from test_standing import Project

from stages import partial
from steering import layout
from steering.manifest import read_json

EDIT = {"world": "small", "data": "mix", "arm": "edit", "seed": 0}


@pytest.fixture
def project(here, monkeypatch) -> Project:
    """The example, all done, and a stage of reports that is only called."""
    made = Project()
    made.finish()
    monkeypatch.setattr(partial, "recorded", made.records.get)
    return made


@pytest.fixture
def reported(monkeypatch) -> list[Path]:
    """The slices that were reported."""
    found: list[Path] = []
    monkeypatch.setattr(partial.subprocess, "run", lambda command, **_: found.append(Path(command[-1])))
    return found


def test_a_run_that_failed_is_left_out(project, reported):
    shutil.rmtree(layout.run(**EDIT))
    assert partial.main([]) == "table: 2 of 3 runs came through"
    assert read_json(reported[0])["there"] == ["small/mix/none/seed0", "small/mix/low/seed0"]


def test_scores_of_other_settings_are_left_out(project, reported):
    project.plan(Path("params.yaml").read_text().replace("token_ratio: 0.5", "token_ratio: 0.25"))
    assert partial.main([]) == "table: 2 of 3 runs came through"


def test_a_whole_experiment_needs_no_partial_report(project, reported):
    assert partial.main(["table"]) == "table: 3 of 3 runs came through; no partial report"
    assert reported == []


def test_nor_does_one_of_which_nothing_came_through(project, reported):
    shutil.rmtree("checkpoints/runs")
    assert partial.main([]) == "table: 0 of 3 runs came through; no partial report"
    assert reported == []
