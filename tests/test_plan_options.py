"""What a world may also have, parts, engines, a judge, a connector for each seed, reaches the jobs it concerns."""

from __future__ import annotations

import json

import pytest

from steering.errors import ParamsError
from steering.manifest import digest
from tests.plan_slices import RUNS, TEXT, changed, replaced, slices

GRADED = replaced("form: vqa", "form: hallusion")
"""Shapes in a form that a judge may grade."""


def judged(text: str = GRADED, *, tries: int = 5) -> str:
    """*text* with a judge in the world small and all that extend it."""
    prompts = f"prompts: {{hallusion: {{file: p.txt, sha256: '{'0' * 64}'}}}}"
    judge = f"judges:\n  gpt: {{url: 'http://host/v1', model: m, tries: {tries}, {prompts}}}\n\nworlds:\n"
    return replaced(
        "    template: chatml\n", "    template: chatml\n    judge: gpt\n", replaced("worlds:\n", judge, text)
    )


def test_a_run_asked_in_parts_has_a_slice_for_each(planned):
    text = replaced("    threads: 1\n", "    threads: 1\n    predict_parts: 3\n")
    whole, plan = planned(), planned(text)
    assert changed(whole, plan) == {job for job in slices(whole) if job[0] == "predict"}
    joined = plan.predict("small", "mix", "low", 0)
    assert joined == whole.predict("small", "mix", "low", 0) | {"parts": 3}
    assert plan.parts("small") == plan.parts("long") == [1, 2, 3]
    for part in plan.parts("small"):
        assert plan.predict_part("small", "mix", "low", 0, part) == joined | {"part": part}


def test_a_run_asked_as_a_whole_has_no_parts(planned):
    for text in (TEXT, replaced("    threads: 1\n", "    threads: 1\n    predict_parts: 1\n")):
        plan = planned(text)
        assert plan.parts("small") == []
        assert "parts" not in plan.predict("small", "mix", "low", 0)


def test_how_steps_are_computed_is_in_a_slice_only_where_it_is_not_the_plain_way(planned):
    plain, told = planned(), planned(replaced("    threads: 1\n", "    threads: 1\n    engine: {micro_batch: 1}\n"))
    assert "engine" not in plain.tune("small", "mix", "edit", 0)
    assert "engine" not in plain.connector("small", 0)
    for content in (told.tune("small", "mix", "edit", 0), told.connector("small", 0)):
        assert content["engine"]["micro_batch"] == 1


def test_a_method_may_be_computed_its_own_way_and_takes_its_own_devices(planned):
    engines = "    threads: 3\n    gpus: 1\n    engines: {mores: {kind: deepspeed, zero: 3, processes: 4}}\n"
    plan = planned(replaced("    threads: 1\n", engines))
    assert plan.tune("small", "mix", "edit", 0)["engine"]["zero"] == 3
    assert "engine" not in plan.tune("small", "mix", "none", 0)
    assert plan.devices("small", "edit") == (4, 12)
    assert plan.devices("small", "none") == (1, 3)
    assert planned().devices("small", "edit") == (0, 1)


def test_nodes_share_the_processes_of_a_run_evenly(planned):
    text = "    threads: 3\n    gpus: 1\n    engines: {mores: {kind: deepspeed, processes: 4, nodes: %d}}\n"
    plan = planned(replaced("    threads: 1\n", text % 2))
    assert (plan.nodes("small", "edit"), plan.nodes("small", "none")) == (2, 1)
    assert plan.devices("small", "edit") == (2, 6)
    with pytest.raises(ParamsError, match="processes 4 on nodes 3; allowed: as many on each node"):
        planned(replaced("    threads: 1\n", text % 3))


def live(text: str = TEXT) -> str:
    told = replaced("    connector: ", "    features: live\n    connector: ", text)
    lines = [line for line in told.splitlines() if "warm_start" not in line]
    return "\n".join(lines) + "\n"


def test_a_live_world_says_so_to_every_job_that_sees_pictures(planned):
    plan, once = planned(live()), planned()
    run = plan.runs("table")[0]
    names = (run.world, run.data, run.arm, run.seed)
    for rule in ("tune", "predict", "attention"):
        assert getattr(plan, rule)(*names)["features"] == "live"
        assert "features" not in getattr(once, rule)(*names)
    assert plan.live(run.world, run.arm)
    assert not once.live(run.world, run.arm)


def test_pretraining_may_have_an_engine_of_its_own_and_else_has_the_world_s(planned):
    world = replaced("    threads: 1\n", "    threads: 1\n    engine: {micro_batch: 1}\n")
    own = replaced(
        "      captions: captions.json\n", "      captions: captions.json\n      engine: {micro_batch: 4}\n", world
    )
    first, second = planned(world).connector("small", 0), planned(own).connector("small", 0)
    assert first["engine"]["micro_batch"] == 1
    assert second["engine"]["micro_batch"] == 4
    assert first["pretrain"] == second["pretrain"] == planned().connector("small", 0)["pretrain"]


RUN = ("small", "mix", "low", 0)


def test_a_judge_is_told_of_the_benchmarks_that_it_has_a_prompt_for(planned):
    content = planned(judged()).judge(*RUN)
    assert content["forms"] == {"shapes": "hallusion"}
    assert content["judge"]["prompts"] == {"shapes": {"file": "p.txt", "sha256": "0" * 64}}
    assert (content["judge"]["name"], content["judge"]["model"]) == ("gpt", "m")


def test_a_judge_changes_the_scores_alone_and_how_it_is_asked_not_even_these(planned):
    before, after, slower = planned(GRADED), planned(judged()), planned(judged(tries=9))
    found = changed(before, after)
    assert found == {("score", world, "mix", arm, str(seed)) for world, seed in RUNS for arm in ("none", "edit", "low")}
    assert changed(after, slower) == set()
    assert digest(after.judge(*RUN)) != digest(slower.judge(*RUN))


def test_without_a_judge_nothing_is_judged(planned):
    assert planned(GRADED).judged("small", "mix") == []
    assert "judged" not in planned(GRADED).score(*RUN)
    assert planned(judged()).score(*RUN)["judged"] == ["shapes"]


def test_a_seed_has_a_connector_of_its_own_only_where_the_world_says_so(planned):
    shared = planned()
    own = planned(replaced("      captions: captions.json\n", "      captions: captions.json\n      per_seed: true\n"))
    assert [shared.pretrain_seed("small", seed) for seed in (0, 1, 2)] == [0, 0, 0]
    assert [own.pretrain_seed("small", seed) for seed in (0, 1, 2)] == [0, 1, 2]
    assert own.connector("small", 2)["pretrain"] == shared.connector("small", 0)["pretrain"] | {"seed": 2}
    assert own.tune("small", "mix", "edit", 2) == shared.tune("small", "mix", "edit", 2) | {"pretrain_seed": 2}


def test_the_paths_of_connectors_change_what_seeds_other_than_the_first_start_from(planned):
    own = planned(replaced("      captions: captions.json\n", "      captions: captions.json\n      per_seed: true\n"))
    assert changed(planned(), own) == {
        ("tune", world, "mix", arm, str(seed)) for world, seed in RUNS if seed for arm in ("none", "edit", "low")
    }


MEASURED = "    analyses: {overhead: {benchmark: shapes, questions: 2, tokens: 4, repeats: 3}}\n"


def timed(text: str = TEXT) -> str:
    """*text* with the overhead measured in the longer of its experiments."""
    text = replaced("    template: chatml\n", "    template: chatml\n" + MEASURED, text)
    return replaced("    seeds: [0, 3]\n", "    seeds: [3, 0]\n    analyses: [overhead]\n", text)


def test_the_overhead_of_an_experiment_is_measured_of_its_first_seed(planned):
    plan = planned(timed())
    assert [(run.arm, run.seed) for run in plan.overhead_runs("longer")] == [("none", 3), ("edit", 3), ("low", 3)]
    assert plan.overhead_runs("table") == []
    told = plan.overhead("longer")
    assert json.loads(json.dumps(told)) == told
    assert (told["world"], told["control"], told["split"]) == ("long", "none", "test")
    assert told["wanted"] == {"benchmark": "shapes", "questions": 2, "tokens": 4, "repeats": 3}
    assert told["runs"][2]["settings"]["method"] == "lora"


def test_the_overhead_of_an_unknown_benchmark_is_refused(planned):
    with pytest.raises(ParamsError, match=r"analyses\.overhead\.benchmark: shade is unknown; allowed: shapes"):
        planned(timed().replace("overhead: {benchmark: shapes", "overhead: {benchmark: shade"))
