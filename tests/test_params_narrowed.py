"""Fewer training seeds than params.yaml asks for: each experiment's first, whose runs are no others than before."""

from __future__ import annotations

from pathlib import Path

import pytest

from steering.errors import ParamsError
from steering.params import load, of_first_seeds, with_seeds
from steering.plan import Plan

EXAMPLE = Path(__file__).resolve().parent / "example.yaml"


def seeds(params) -> dict[str, list[int]]:
    return {name: told.seeds for name, told in params.experiments.items()}


def test_every_experiment_keeps_as_many_of_its_seeds_as_it_has():
    params = load(EXAMPLE)
    assert seeds(params) == {"table": [0], "longer": [0, 3]}
    assert seeds(of_first_seeds(params, 1)) == {"table": [0], "longer": [0]}
    assert seeds(of_first_seeds(params, 2)) == seeds(of_first_seeds(params, None)) == seeds(params)


def test_seeds_of_one_experiment_leave_the_others_theirs():
    assert seeds(with_seeds(load(EXAMPLE), {"longer": [3]})) == {"table": [0], "longer": [3]}


@pytest.mark.parametrize("count", [0, -1, "one", 1.5, True])
def test_what_counts_no_seeds_is_refused(count):
    with pytest.raises(ParamsError, match=rf"first_seeds: {count} is not allowed; allowed a whole number from 1"):
        of_first_seeds(load(EXAMPLE), count)


def test_a_run_is_the_same_among_fewer_and_a_report_is_another():
    params = load(EXAMPLE)
    whole, first = Plan(params), Plan(of_first_seeds(params, 1))
    run = first.runs("longer")[0]
    assert run in whole.runs("longer")
    words = {"world": run.world, "data": run.data, "arm": run.arm, "seed": run.seed}
    assert first.tune(**words) == whole.tune(**words)
    assert first.report("longer") != whole.report("longer")
