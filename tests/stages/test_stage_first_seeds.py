"""`--first-seeds N`: the commands that say how things stand count the first training seeds alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages import index, partial, plan, status
from steering import layout
from steering.errors import ParamsError

EXAMPLE = Path(__file__).resolve().parents[1] / "example.yaml"
WORDS = ["--params", str(EXAMPLE)]


@pytest.mark.parametrize(("first", "seeds"), [([], [0, 3]), (["--first-seeds", "1"], [0])])
def test_runs_of_three_arms_are_counted(here, first, seeds):
    runs = 3 * len(seeds)
    assert partial.main(["longer", *WORDS, *first]) == f"longer: 0 of {runs} runs came through; no partial report"
    assert f"  tune               0        {runs} " in status.main(["longer", *WORDS, *first])
    assert f"seeds {seeds}\n" in plan.main(["longer", *WORDS, *first])
    index.main([*WORDS, *first])
    shown = layout.INDEX.read_text(encoding="utf-8").split('id="longer"')[1]
    assert f"<dt>seeds</dt><dd>{', '.join(map(str, seeds))}</dd>" in shown


def test_no_number_of_seeds_is_told(here):
    with pytest.raises(ParamsError, match="first_seeds: 0 is not allowed"):
        index.main([*WORDS, "--first-seeds", "0"])
