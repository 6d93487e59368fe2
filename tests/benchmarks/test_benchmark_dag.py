"""The benchmark of large grids, at two runs: the project as it stands is read and planned, and what is recorded."""

from __future__ import annotations

import pytest

from benchmarks.dag import GRID, KINDS, main, project, rows_of
from steering.manifest import read_json
from steering.params import load


def test_a_grid_has_as_many_runs_as_it_was_asked_for(tmp_path):
    params = load(project(tmp_path / "grid", 3) / "params.yaml")
    grid = params.experiments[GRID]
    assert len(grid.arms) * len(grid.seeds) == 3
    assert grid.world == params.experiments[params.default].world


@pytest.mark.slow
def test_the_record_holds_every_call_and_what_it_costs_over_one_run(tmp_path):
    out = tmp_path / "dag.json"
    main(["--runs", "2", "--repeats=1", f"--out={out}"])
    record = read_json(out)
    names = [f"{kind}, {runs}" for kind in KINDS for runs in (1, 2)]
    assert {name: len(values) for name, values in record["seconds"].items()} == dict.fromkeys(names, 1)
    assert record["over_one_run"]["dry run, 1"]["value"] == 1
    assert [row[0] for row in rows_of(record)[1:]] == names
