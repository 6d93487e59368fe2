"""The plan: each job's slice is the part of params.yaml it may read, and nothing it does not depend on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from steering import layout
from steering.errors import ParamsError
from steering.manifest import digest
from steering.params import load
from steering.plan import Plan, Run, outcomes, slice_file
from steering.yaml_strict import load_yaml

TEXT = (Path(__file__).resolve().parent / "example.yaml").read_text(encoding="utf-8")
RUNS = [("small", 0), ("long", 0), ("long", 3)]
REPORTS = {("report", "table"), ("report", "longer")}
RUN_RULES = ("tune", "predict", "score", "attention")

Job = tuple[str, ...]


@pytest.fixture
def planned(tmp_path):
    """The plan of example.yaml, or of another text."""

    def planning(text: str = TEXT) -> Plan:
        (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
        return Plan(load(tmp_path / "params.yaml"))

    return planning


def replaced(old: str, new: str, text: str = TEXT) -> str:
    assert old in text
    return text.replace(old, new, 1)


GRADED = replaced("form: vqa", "form: hallusion")
"""Shapes in a form that a judge may grade."""


def judged(text: str = GRADED, *, tries: int = 5) -> str:
    """*text* with a judge in the world small and all that extend it."""
    prompts = f"prompts: {{hallusion: {{file: p.txt, sha256: '{'0' * 64}'}}}}"
    judge = f"judges:\n  gpt: {{url: 'http://host/v1', model: m, tries: {tries}, {prompts}}}\n\nworlds:\n"
    return replaced(
        "    template: chatml\n", "    template: chatml\n    judge: gpt\n", replaced("worlds:\n", judge, text)
    )


def slices(plan: Plan) -> dict[Job, dict]:
    return dict(_slices(plan))


def _slices(plan: Plan) -> Iterator[tuple[Job, dict]]:
    params = plan.params
    yield from ((("fetch", name), plan.fetch(name)) for name in params.sources)
    yield from ((("language_model", name), plan.language_model(name)) for name in params.language_models)
    yield from ((("vision_encoder", name), plan.vision_encoder(name)) for name in params.vision_encoders)
    for world in params.worlds:
        yield ("connector", world), plan.connector(world, 0)
        for name in plan.datasets_of(world):
            yield ("dataset", world, name), plan.dataset(world, name)
            yield ("check", world, name), plan.check(world, name)
            yield ("features", world, name), plan.features(world, name)
        yield from ((("mixture", world, name), plan.mixture(world, name)) for name in params.worlds[world].mixtures)
    for experiment in params.experiments:
        yield ("report", experiment), plan.report(experiment)
        for run in plan.runs(experiment):
            for rule in RUN_RULES:
                names = (run.world, run.data, run.arm, run.seed)
                yield (rule, *map(str, names)), getattr(plan, rule)(*names)


def changed(before: Plan, after: Plan) -> set[Job]:
    old, new = slices(before), slices(after)
    assert old.keys() == new.keys()
    return {job for job in old if digest(old[job]) != digest(new[job])}


def test_slices_are_plain_builtins_that_survive_json(planned):
    for job, content in slices(planned()).items():
        assert json.loads(json.dumps(content)) == content, job


def test_another_rank_changes_its_own_arm_and_the_reports_alone(planned):
    found = changed(planned(), planned(replaced("lora, rank: 8", "lora, rank: 4")))
    assert found == REPORTS | {(rule, world, "mix", "low", str(seed)) for rule in RUN_RULES for world, seed in RUNS}


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
