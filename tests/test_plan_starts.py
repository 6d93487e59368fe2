"""Runs that start from tuned runs, on several data, asked and shown some benchmarks: what their jobs are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from steering import layout
from steering.errors import ParamsError
from steering.forecast import Forecast
from steering.graph import OUTPUTS, Graph
from steering.params import load
from steering.plan import Plan
from steering.requests import Requests
from steering.standing import Standing

TINY = (Path(__file__).parent / "tiny_params.yaml").read_text(encoding="utf-8")
SHARES = "{shapes: {questions: 2, per_picture: 1}}"
MIX = "    mixtures: {mix: {turns: 2, shares: {shapes: {questions: 2, per_picture: 1}}}}\n"
TASKS = """    mixtures:
      mix: {turns: 2, shares: {shapes: {questions: 2, per_picture: 1}}}
      task:
        turns: 2
        shares: {shapes: {questions: 2, per_picture: 1}}
        start: {data: mix, arm: whole}
        recipe: {steps: 9}
        asks: [other]
"""
OTHER = "      other: {form: vqa, dataset: pictures, ask: {questions: 2, per_picture: 1}, title: Other}\n    pretrain:"
SECOND = """  second:
    extends: table
    data: [mix, task]
    seeds: [0, 1]
arms:
  whole: {method: full}
"""


@pytest.fixture
def planned(tmp_path):
    def planned(*changes: tuple[str, str]) -> Plan:
        text = TINY.replace(MIX, TASKS).replace("    pretrain:", OTHER).replace("arms:\n  none", SECOND + "  none")
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "params.yaml"
        path.write_text(text)
        return Plan(load(path))

    return planned


def test_an_experiment_extends_another(planned):
    table, second = (planned().experiment(name) for name in ("table", "second"))
    assert (second.arms, second.question, second.world) == (table.arms, table.question, table.world)
    assert (second.mixtures, second.seeds) == (["mix", "task"], [0, 1])


def test_runs_of_several_data_are_each_trained_by_themselves(planned):
    plan = planned()
    assert len(plan.runs("second")) == 8
    assert set(plan.runs("table")) < set(plan.runs("second"))


def test_a_started_run_is_told_of_its_start_alone(planned):
    plan = planned()
    for rule in ("tune", "predict", "score", "attention"):
        assert getattr(plan, rule)("small", "task", "edit", 1)["start"] == {"data": "mix", "arm": "whole", "seed": 1}
        assert "start" not in getattr(plan, rule)("small", "mix", "edit", 1)


def test_a_mixture_changes_the_recipe_and_what_is_asked_of_its_runs_only(planned):
    plan = planned()
    assert plan.recipe("small", "edit", "task") == plan.recipe("small", "edit", "mix") | {"steps": 9}
    assert list(plan.predict("small", "task", "edit", 0)["benchmarks"]) == ["other"]
    assert list(plan.score("small", "mix", "edit", 0)["benchmarks"]) == ["shapes", "other"]
    before = planned(("        asks: [other]\n", ""), ("        start: {data: mix, arm: whole}\n", ""))
    assert plan.mixture("small", "task") == before.mixture("small", "task")


UNSEEN = ("        start: {data: mix, arm: whole}\n", "        start: {data: mix, arm: whole}\n        unseen: true\n")


def test_an_unseen_mixture_is_told_what_its_start_has_drawn_and_others_are_not(planned):
    plan, plain = planned(UNSEEN), planned()
    start = plan.mixture("small", "mix")
    assert plan.mixture("small", "task") == plain.mixture("small", "task") | {
        "seen": {"mixture": start["mixture"], "benchmarks": start["benchmarks"]}
    }
    assert start == plain.mixture("small", "mix")
    assert plan.tune("small", "task", "edit", 0) == plain.tune("small", "task", "edit", 0)


def test_of_its_start_an_unseen_mixture_is_told_the_shares_of_its_own_data_sets(planned):
    asked = "{shapes: {questions: 2, per_picture: 1}, words: {questions: 2, per_picture: 1}}"
    more = (
        ("mix: {turns: 2, shares: {shapes: {questions: 2, per_picture: 1}}}", f"mix: {{turns: 2, shares: {asked}}}"),
        ("    pretrain:", "      words: {form: vqa, dataset: texts, title: Words}\n    pretrain:"),
        (
            "{pictures: {builder: easy_vqa, sources: [wheel]}}",
            "{pictures: &pictures {builder: easy_vqa, sources: [wheel]}, texts: *pictures}",
        ),
    )
    told = planned(UNSEEN, *more).mixture("small", "task")["seen"]
    assert list(told["benchmarks"]) == list(told["mixture"]["shares"]) == ["shapes"]


def test_the_start_is_trained_first_and_read_by_all_that_reads_the_run(planned):
    plan = planned()
    graph, words = Graph(plan), {"world": "small", "data": "task", "arm": "edit", "seed": 0}
    start = ("tune", {**words, "data": "mix", "arm": "whole"})
    for rule in ("tune", "predict"):
        assert start in list(graph.above(rule, words))
        assert graph.inputs(rule, words)["start"] == layout.run("small", "mix", "whole", 0)
    assert not any(rule == "connector" for rule, _ in graph.above("tune", words))
    assert start in graph.jobs("second")
    assert start not in graph.jobs("table")


def test_what_a_run_is_made_of_is_made_by_the_jobs_above_it(planned):
    graph = Graph(planned())
    for rule, words in graph.jobs("second"):
        above = {OUTPUTS[made](**named) for made, named in graph.above(rule, words)}
        inputs = graph.inputs(rule, words)
        made_of = {inputs[name] for name in ("conversations", "connector", "start", "run", "answers") if name in inputs}
        assert made_of <= above, rule


def test_attention_is_measured_where_its_benchmark_is_asked(planned):
    plan = planned()
    assert plan.attended("small", "mix") and not plan.attended("small", "task")
    assert {run.data for run in plan.attended_runs("second")} == {"mix"}
    assert "attention" not in Graph(plan).run_rules("small", "task")


def test_a_report_names_what_each_data_was_asked_and_shows_what_is_wanted(planned):
    told = planned().report("second")
    assert told["asked"] == {"mix": ["shapes", "other"], "task": ["other"]}
    fewer = planned(("    data: [mix, task]\n", "    data: [mix, task]\n    benchmarks: [other]\n")).report("second")
    assert fewer["asked"] == {"mix": ["other"], "task": ["other"]}
    assert list(fewer["benchmarks"]) == ["other"]
    assert "asked" not in planned().report("table")


def test_a_report_reads_the_scores_of_the_tuned_runs_that_its_runs_start_from(planned):
    plan = planned()
    starts = [{"world": "small", "data": "mix", "arm": "whole", "seed": seed} for seed in (0, 1)]
    assert plan.report("second")["starts"] == {"task": starts}
    above = list(Graph(plan).above("report", {"experiment": "second"}))
    assert [("score", start) for start in starts] == [job for job in above if job[1].get("arm") == "whole"]
    assert plan.starts("table") == [] and "starts" not in plan.report("table")


def test_hours_are_of_all_data_and_memory_of_the_start_too(planned, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = planned()
    one, both = (Forecast(plan, Standing(plan)).arm(name, "edit") for name in ("table", "second"))
    steps = [plan.recipe("small", "edit", data)["steps"] for data in ("mix", "task")]
    assert both["tune_hours"] == pytest.approx(2 * one["tune_hours"] * sum(steps) / steps[0])
    assert "whole" in plan.arms_of("small")
    assert Requests(plan).memory_mb("tune", "small", "edit") > Requests(planned(("arm: whole", "arm: none"))).memory_mb(
        "tune", "small", "edit"
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("arm: whole", "arm: edit"), "mixtures.task.start.arm: edit is unknown; allowed: whole, none"),
        (("data: mix, arm", "data: task, arm"), "mixtures.task.start.data: task is unknown; allowed: mix"),
        (("asks: [other]", "asks: [othre]"), "mixtures.task.asks: othre is unknown; allowed: shapes, other"),
        (("recipe: {steps: 9}", "recipe: {step: 9}"), "mixtures.task.recipe.step: unknown"),
        (
            ("start: {data: mix, arm: whole}", "unseen: true"),
            "mixtures.task: found unseen without shares or without a start; allowed: with both",
        ),
        (
            (
                f"turns: 2, shares: {SHARES}}}\n      task:",
                "conversations: pictures}\n      task:\n        unseen: true",
            ),
            "mixtures.task.unseen: start is on conversations of a data set; allowed: on shares",
        ),
    ],
)
def test_a_wrong_start_is_refused_with_what_is_allowed(planned, change, told):
    with pytest.raises(ParamsError) as caught:
        planned(change)
    assert f"worlds.small.{told}" in str(caught.value)


MAPPED = (
    "    language_model: lm\n",
    "    language_model: lm\n    analyses: {maps: {benchmark: other, questions: 2, layers: [1]}}\n",
)
LOOKED = ("    extends: table\n", "    extends: table\n    analyses: [maps]\n")


def test_a_report_knows_the_pictures_of_its_analyses_of_benchmarks_that_it_does_not_show(planned):
    hidden = ("    extends: table\n", "    extends: table\n    analyses: [maps]\n    benchmarks: [shapes]\n")
    content = planned(MAPPED, hidden).report("second")
    assert (list(content["benchmarks"]), content["analysed"]) == (["shapes"], {"other": "pictures"})
    assert "analysed" not in planned(MAPPED).report("second")


def test_an_analysis_about_what_runs_are_not_asked_is_refused(planned):
    planned(MAPPED, LOOKED)
    shapes = (MAPPED[0], MAPPED[1].replace("other", "shapes"))
    planned(shapes)
    with pytest.raises(ParamsError) as caught:
        planned(shapes, LOOKED)
    told = "second.analyses: maps is about shapes, which runs on task are not asked; allowed: other"
    assert [told in fault for fault in caught.value.faults] == [True]


def test_the_projects_own_task_tables_are_told_as_tuned_on_pictures_that_their_start_has_not_seen():
    plan = Plan(load(Path(__file__).parent.parent / "params.yaml"))
    for experiment in ("embedded_table2", "embedded_table3_few", "embedded_table3_more", "embedded_table3_many"):
        told = plan.report(experiment)["paper"]["training"]
        assert told and all(one["start"]["unseen"] for one in told)
