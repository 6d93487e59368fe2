"""The plan: each job's slice is the part of params.yaml it may read, and nothing it does not depend on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from steering import layout
from steering.plan import Run, outcomes, slice_file
from steering.yaml_strict import load_yaml
from tests.plan_slices import RUN_RULES, RUNS, TEXT, changed, replaced, slices

REPORTS = {("report", "table"), ("report", "longer")}


def test_slices_are_plain_builtins_that_survive_json(planned):
    for job, content in slices(planned()).items():
        assert json.loads(json.dumps(content)) == content, job


def test_another_rank_changes_its_own_arm_and_the_reports_alone(planned):
    found = changed(planned(), planned(replaced("lora, rank: 8", "lora, rank: 4")))
    assert found == REPORTS | {(rule, world, "mix", "low", str(seed)) for rule in RUN_RULES for world, seed in RUNS}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("default: table", "# a comment\ndefault:   table   # another"),
        ("lora, rank: 8, alpha: 16", "lora, alpha: 16, rank: 8"),
        ("rank: 8, alpha: 16,", "rank: 8,\n    alpha: 16,"),
        ("alpha: 16", "alpha: 16.0"),
        ("2e-3", "0.002"),
    ],
)
def test_how_it_is_written_changes_nothing(planned, old, new):
    assert changed(planned(), planned(replaced(old, new))) == set()


def backwards(content: Any) -> Any:
    """*content* with the keys of every mapping the other way round, where worlds do not stand on each other."""
    if not isinstance(content, dict):
        return content
    turned = {key: backwards(value) for key, value in reversed(content.items())}
    return {key: turned[key] for key in content} if {"small", "pictures"} & content.keys() else turned


def test_the_order_of_keys_changes_nothing(planned, tmp_path):
    (tmp_path / "written.yaml").write_text(TEXT, encoding="utf-8")
    content = load_yaml(tmp_path / "written.yaml")
    assert list(backwards(content)) != list(content)
    assert changed(planned(), planned(json.dumps(backwards(content)))) == set()


def test_another_number_of_threads_changes_nothing(planned):
    assert changed(planned(), planned(replaced("threads: 1", "threads: 2"))) == set()


def test_other_steps_of_a_world_change_its_tuning_alone(planned):
    found = changed(planned(), planned(replaced("tune: {steps: 50}", "tune: {steps: 60}")))
    assert found == {("tune", "long", "mix", arm, str(seed)) for arm in ("none", "edit", "low") for seed in (0, 3)}


def test_other_steps_of_pretraining_change_the_connectors_alone(planned):
    text = replaced("recipe: {steps: 6,", "recipe: {steps: 7,")
    assert changed(planned(), planned(text)) == {("connector", "small"), ("connector", "long")}


def test_what_becomes_of_faulty_pictures_changes_the_check_alone(planned):
    text = replaced("settings: {seed: 0}}", "settings: {seed: 0}, faulty_pictures: exclude}")
    assert changed(planned(), planned(text)) == {("check", "small", "flags"), ("check", "long", "flags")}


def test_another_title_of_a_benchmark_changes_the_reports_alone(planned):
    assert changed(planned(), planned(replaced("title: Shapes", "title: Forms"))) == REPORTS


def test_another_checksum_changes_the_fetch_and_the_reports_alone(planned):
    text = replaced("package: eye", f'package: eye, sha256: "{"1" * 64}"')
    assert changed(planned(), planned(text)) == REPORTS | {("fetch", "eye_wheel")}


def test_runs_are_enumerated_once_in_the_order_of_the_file(planned):
    runs = planned().runs("longer")
    assert runs == [Run("long", "mix", arm, seed) for arm in ("none", "edit", "low") for seed in (0, 3)]
    assert len({run.name for run in runs}) == len(runs)
    assert runs[1].name == "long/mix/none/seed3"


def test_a_run_is_the_same_whichever_experiment_needs_it(planned):
    plan = planned(replaced("world: long", "world: small"))
    assert set(plan.runs("table")) < set(plan.runs("longer"))
    assert plan.tune("small", "mix", "low", 0) == planned().tune("small", "mix", "low", 0)


def test_answers_of_another_kind_of_logits_are_made_anew_and_nothing_else_is(planned, monkeypatch):
    plan = planned()
    before = slices(plan)
    monkeypatch.setattr("steering.plan.LOGITS", "float64")
    after = slices(plan)
    assert {job for job in before if before[job] != after[job]} == {job for job in before if job[0] == "predict"}


def test_the_report_slice_lists_its_runs_arms_and_sources(planned):
    content = planned().report("table")
    assert content["runs"] == [{"world": "small", "data": "mix", "arm": arm, "seed": 0} for arm in content["arms"]]
    assert list(content["arms"]) == ["none", "edit", "low"]
    assert content["depths"] == {"layers": 4, "vision_layers": 14}
    assert set(content["sources"]) == {"lm_wheel", "eye_wheel", "pictures_wheel", "flags_wheel", "facts_wheel"}


def test_a_mixture_needs_only_the_data_sets_of_its_shares(planned):
    assert planned().mixture_datasets("small", "mix") == ["flags", "pictures"]
    plan = planned(replaced("          flags_sqa: {questions: 4, per_picture: 1}\n", ""))
    assert plan.mixture_datasets("small", "mix") == plan.tune("small", "mix", "low", 0)["datasets"] == ["pictures"]


def test_a_slice_file_is_named_by_its_content(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = slice_file("tune", {"b": 1, "a": [1, 2]})
    assert first == slice_file("tune", {"a": [1, 2], "b": 1})
    assert first != slice_file("tune", {"a": [2, 1], "b": 1})
    assert Path(first).parent == layout.SLICES / "tune"
    assert json.loads(Path(first).read_text()) == {"a": [1, 2], "b": 1}


def test_a_slice_file_is_written_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path(slice_file("score", {"a": 1}))
    before = path.stat()
    slice_file("score", {"a": 1})
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_outcomes_are_one_path_a_run(planned):
    paths = list(outcomes(planned().runs("table"), "scores.json"))
    assert [str(path) for path in paths][2] == "results/runs/small/mix/low/seed0/scores.json"
    assert len(set(paths)) == 3


def test_the_order_of_data_sets_reaches_no_run(planned):
    lines = [line for line in TEXT.splitlines(keepends=True) if "builder:" in line]
    swapped = planned(TEXT.replace("".join(lines), "".join(reversed(lines))))
    assert swapped.tune("small", "mix", "low", 0) == planned().tune("small", "mix", "low", 0)


def test_a_mixture_of_own_conversations_needs_that_data_set_alone(planned):
    text = (
        TEXT[: TEXT.index("    mixtures:")]
        + "    mixtures: {mix: {conversations: pictures}}\n"
        + TEXT[TEXT.index("    tune:") :]
    )
    plan = planned(text)
    assert plan.mixture_datasets("small", "mix") == ["pictures"]
    assert plan.mixture("small", "mix")["mixture"] == {"conversations": "pictures", "seed": 0}
    assert plan.mixture("small", "mix")["benchmarks"] == {}
