"""`python -m stages.published`: what runs answered, kept in git, and tables made from that alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from finished_runs import EXAMPLE, LIKE, SEEDS, scores, told

from stages.published import main
from steering import layout, published
from steering.errors import DataError, ParamsError
from steering.graph import Graph
from steering.manifest import read_json, write_json
from steering.params import load
from steering.plan import Plan
from steering.slices import Run
from steering.standing import Standing


def test_scores_read_back_are_those_that_were_kept(finished):
    main(["longer", "--keep"])
    shutil.rmtree("results")
    shutil.rmtree("checkpoints")
    kept = published.read(Run("long", "mix", "edit", 3))
    assert kept is not None
    assert [{**score, "questions": None} for score in kept["scores"]] == [
        {**score, "method": "none", "questions": None} for score in scores("edit", 3)
    ]


def test_a_table_from_kept_outcomes_is_that_of_the_scores_themselves(finished):
    from steering.analyse.overall import overall

    main(["longer", "--keep"])
    shutil.rmtree("results")
    runs = [score for arm in LIKE for seed in SEEDS for score in scores(arm, seed)]
    expected = overall(runs, arms=list(LIKE)).to_dict("records")
    assert told()["overall"] == json.loads(json.dumps(expected))
    assert len(told()["runs"]) == 6


def test_questions_lie_once_for_all_runs_and_the_files_are_small(finished):
    main(["longer", "--keep"])
    assert len(list(Path("docs/outcomes/long/questions").iterdir())) == 2
    outcomes = read_json(layout.published("long", "mix", "edit", 0))["scores"][0]["outcomes"]
    assert set(outcomes["correct"]) == {"0", "1"}


def test_keeping_again_changes_no_byte(finished):
    assert main(["longer", "--keep"]).startswith("Published now: long/mix/none/seed0, long/mix/none/seed3, ")
    first = {path: path.read_bytes() for path in Path("docs").rglob("*.json")}
    main(["longer", "--keep"])
    assert {path: path.read_bytes() for path in Path("docs").rglob("*.json")} == first


def test_a_run_that_is_not_finished_is_not_kept(finished, monkeypatch):
    states = {"tune": "done", "predict": "done", "score": "stale"}
    monkeypatch.setattr(Standing, "run", lambda self, run: states)
    assert not main(["longer", "--keep"]).startswith("Published now")
    assert not layout.PUBLISHED.exists()


def test_a_run_of_other_settings_is_left_out_and_the_rule_is_named(finished):
    main(["longer", "--keep"])
    Path("params.yaml").write_text(EXAMPLE.replace("token_ratio: 0.5", "token_ratio: 0.25"), encoding="utf-8")
    assert {run["arm"] for run in told()["runs"]} == {"none", "low"}
    (first, second) = told()["notes"]
    assert first == "long/mix/edit/seed0: left out, for params.yaml asks for another predict, score, tune now"
    assert second.startswith("long/mix/edit/seed3")


def test_how_steps_are_computed_is_no_other_setting(finished):
    main(["longer", "--keep"])
    faster = EXAMPLE.replace("    tune: {steps: 50}", "    tune: {steps: 50}\n    engine: {micro_batch: 1}")
    assert faster != EXAMPLE
    Path("params.yaml").write_text(faster, encoding="utf-8")
    assert len(told()["runs"]) == 6


def test_a_learning_rate_of_the_connector_is_another_setting_of_every_run(finished):
    asked = published.asked(Graph(finished), Run("long", "mix", "none", 0))
    other = EXAMPLE.replace("connector_learning_rate: 2e-3, method", "connector_learning_rate: 3e-3, method")
    Path("params.yaml").write_text(other, encoding="utf-8")
    today = published.asked(Graph(Plan(load(Path("params.yaml")))), Run("long", "mix", "none", 0))
    assert published.changed({"asked": asked}, today) == ["connector"]


def test_another_arm_may_take_the_control_s_place(finished):
    main(["longer", "--keep"])
    own = told()["overall"]
    other = json.loads(main(["longer", "--json", "--against", "edit"]))["longer"]
    assert {row["arm"] for row in own} == {"edit", "low"}
    assert other["against"] == "edit" and {row["arm"] for row in other["overall"]} == {"none", "low"}
    (ours,) = (row["difference"] for row in own if row["arm"] == "edit")
    (turned,) = (row["difference"] for row in other["overall"] if row["arm"] == "none")
    assert turned == pytest.approx(-ours)


@pytest.mark.parametrize("words", [["longer", "--against", "edti"], ["--against", "edti"]])
def test_an_arm_that_the_experiment_does_not_have_cannot_be_held_against(finished, words):
    with pytest.raises(ParamsError, match=r"--against: edti is no arm of .*; allowed none, .*\(did you mean edit\?\)"):
        main(words)


def test_a_table_may_be_of_some_training_seeds_alone(finished):
    main(["longer", "--keep"])
    own = json.loads(main(["longer", "--json", "--seeds", "3"]))["longer"]
    assert {run["seed"] for run in own["runs"]} == {3}
    assert {row["seeds"] for row in own["overall"]} == {1}
    assert own["notes"] == []


@pytest.mark.parametrize("words", [["longer", "--seeds", "3", "1"], ["--seeds", "1"]])
def test_a_seed_that_the_experiment_does_not_have_is_refused(finished, words):
    with pytest.raises(ParamsError, match=r"--seeds: 1 of .*; allowed 0, 3"):
        main(words)


def test_what_is_missing_is_named_and_the_rest_is_shown(finished):
    main(["longer", "--keep"])
    layout.published("long", "mix", "low", 3).unlink()
    text = main(["longer"])
    assert "Not published: low (seed 3)." in text
    assert "5 runs, made 2026-11-26 with abc." in text


@pytest.mark.parametrize("computed_in", ["bfloat16", "float32"])
def test_answers_chosen_among_words_that_tie_are_told_and_kept(computed_in, finished):
    main(["longer", "--keep"])
    assert "tie" not in main(["longer"])
    for seed in (0, 3):  # of runs that were published before it was told
        path = layout.published("long", "mix", "low", seed)
        record = read_json(path)
        assert record["made"].pop("logits") == "float32"
        write_json(path, record | {"made": record["made"] | {"computed_in": computed_in}})
    found, text = told(), " ".join(main(["longer"]).split())
    assert len(found["runs"]) == 6 and found["notes"] == []
    rounded = (
        "2 of them answered from bfloat16 logits, where the first of the words that tie was taken: low (seed 0, 3)."
    )
    assert (rounded in text) == (computed_in == "bfloat16")


def test_markdown_has_both_tables(finished):
    main(["longer", "--keep"])
    text = main(["longer", "--markdown"])
    assert "| arm | trainable (LLM) | with connector |" in text
    assert "| arm | against none, mean over benchmarks |" in text


def test_nothing_published_is_said_in_words(finished):
    assert main([]) == "Nothing that params.yaml asks for is published."
    assert "Not published: none (seed 0, 3), edit (seed 0, 3), low (seed 0, 3)." in main(["longer"])


def test_a_damaged_file_is_named(finished):
    main(["longer", "--keep"])
    path = layout.published("long", "mix", "edit", 0)
    record = read_json(path)
    record["scores"][0]["outcomes"]["correct"] += "1"
    write_json(path, record)
    with pytest.raises(DataError, match=r"docs/outcomes/long/mix/edit/seed0.json: not what .*as many outcomes"):
        main(["longer"])


def test_an_unknown_experiment_is_refused(finished):
    with pytest.raises(ParamsError, match="longr is unknown"):
        main(["longr"])


def test_figures_are_drawn_of_what_is_published(finished):
    main(["longer", "--keep", "--figures", "drawn"])
    drawn = sorted(path.name for path in Path("drawn").iterdir())
    figures = ("differences", "lmar", "pareto", "scores", "seeds", "visual_share")
    assert drawn == [f"longer-{figure}.png" for figure in figures]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in Path("drawn").iterdir())


def test_nothing_is_drawn_where_nothing_is_published(finished):
    assert "Not published" in main(["longer", "--figures", "drawn"])
    assert not list(Path().glob("drawn/*"))
