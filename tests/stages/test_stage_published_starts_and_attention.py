"""`python -m stages.published`: what runs start from and where they looked, kept with what they answered."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from finished_runs import EXAMPLE, LIKE, SEEDS, attention, finish, told

from stages.published import main
from steering import layout
from steering.analyse import shift
from steering.errors import DataError
from steering.manifest import read_json, write_json
from steering.standing import Standing

FURTHER = """  further:
    extends: longer
    data: more

arms:
"""
MORE = """      more:
        turns: 2
        shares:
          shapes: {questions: 4, per_picture: 1}
        start: {data: mix, arm: low}
      mix:
"""


@pytest.fixture
def started(finished):
    """Finished runs of an experiment whose runs start from `low` of the plan's."""
    Path("params.yaml").write_text(
        EXAMPLE.replace("\narms:\n", FURTHER).replace("      mix:\n", MORE), encoding="utf-8"
    )
    for arm in LIKE:
        for seed in SEEDS:
            finish(arm, seed, "more")


def test_runs_are_held_against_the_published_run_that_they_start_from(started):
    main(["further", "longer", "--keep"])
    shutil.rmtree("results")
    own = json.loads(main(["further", "--json"]))["further"]
    gained = {row["arm"]: row for row in own["over_start"]}
    assert list(gained) == list(LIKE)
    assert (gained["low"]["difference"], gained["low"]["seeds"]) == (0, 2)
    against = {row["arm"]: row["difference"] for row in own["overall"]}
    assert gained["none"]["difference"] == pytest.approx(-against["low"])
    text = main(["further", "--figures", "drawn"])
    assert "against start, mean over benchmarks" in text
    assert Path("drawn/further-over_start.png").exists()


def test_a_start_that_is_not_published_is_named_and_the_rest_is_shown(started):
    main(["further", "longer", "--keep"])
    layout.published("long", "mix", "low", 3).unlink()
    (own,) = json.loads(main(["further", "--json"])).values()
    assert own["notes"] == ["Not published: low (seed 3)."]
    assert {row["seeds"] for row in own["over_start"]} == {1}
    layout.published("long", "mix", "low", 0).unlink()
    (own,) = json.loads(main(["further", "--json"])).values()
    assert own["over_start"] == [] and len(own["overall"]) == 2


def test_attention_from_kept_outcomes_is_that_of_the_runs_themselves(finished):
    main(["longer", "--keep"])
    shutil.rmtree("results")
    runs = [attention(arm, seed) for arm in LIKE for seed in SEEDS]
    expected = shift.shifts(runs, arms=list(LIKE), control="none").to_dict("records")
    assert told()["attention"] == json.loads(json.dumps(expected)) != []
    assert "LMAR / none's, all layers" in main(["longer"])


def test_attention_that_was_asked_for_otherwise_is_left_out_and_scores_stay(finished):
    main(["longer", "--keep"])
    more = EXAMPLE.replace(
        "attention: {benchmark: shapes, questions: 4}", "attention: {benchmark: shapes, questions: 5}"
    )
    Path("params.yaml").write_text(more, encoding="utf-8")
    assert (told()["attention"], len(told()["runs"])) == ([], 6)


def test_attention_that_is_not_measured_is_not_kept(finished, monkeypatch):
    states = {"tune": "done", "predict": "done", "score": "done", "attention": "missing"}
    monkeypatch.setattr(Standing, "run", lambda self, run: states)
    main(["longer", "--keep"])
    assert layout.published("long", "mix", "edit", 0).exists()
    assert not layout.published_attention("long", "mix", "edit", 0).exists()


def test_damaged_attention_is_named(finished):
    main(["longer", "--keep"])
    path = layout.published_attention("long", "mix", "edit", 0)
    record = read_json(path)
    record["samples"]["mass"]["visual"].pop()
    write_json(path, record)
    with pytest.raises(DataError, match=r"seed0-attention.json: not what .*layers are expected"):
        main(["longer"])
