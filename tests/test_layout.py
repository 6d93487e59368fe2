"""Every file has one place: no two names share a path, and what DVC remembers as one folder holds no other."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path, PurePath

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from steering import layout

ROOT = Path(__file__).resolve().parent.parent
NAME = st.from_regex(r"[a-z0-9][a-z0-9_]{0,5}", fullmatch=True)
FOLDERS_BESIDE_DATA = ("checks", "features", "mixtures")

SHAPES = {
    "download": 1,
    "language_model": 1,
    "vision_encoder": 1,
    "dataset": 2,
    "check": 2,
    "features": 2,
    "mixture": 2,
    "mixture_facts": 2,
    "connector": 2,
    "run": 4,
    "outcome": 4,
    "prediction_part": 5,
    "analysis": 5,
    "verdicts": 1,
    "card": 4,
    "experiment": 1,
    "overhead": 1,
    "partial_report": 1,
    "figures": 1,
    "attempt": 2,
    "published": 4,
    "published_attention": 4,
    "published_questions": 3,
}
KEPT = {"published", "published_attention", "published_questions"}  # in git


def test_every_kind_of_path_is_covered():
    functions = {name for name, value in vars(layout).items() if callable(value) and name not in ("Path",)}
    assert functions == {*SHAPES, "log"}


def test_a_log_is_named_by_the_rule_and_the_words_of_its_job():
    run = {"world": "w", "data": "d", "arm": "a", "seed": 3}
    assert str(layout.log("tune", **run)) == "logs/tune/w/d/a/seed3.log"
    assert str(layout.log("predict_part", **run, part=2)) == "logs/predict_part/w/d/a/seed3/part2.log"
    assert layout.log("tune", **run) != layout.log("tune", **run | {"seed": 4}) != layout.log("score", **run)


@pytest.mark.parametrize("kind", SHAPES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_different_names_have_different_paths(kind, data):
    names = st.tuples(*[NAME] * SHAPES[kind])
    first, second = data.draw(names), data.draw(names)
    of = getattr(layout, kind)
    assert (of(*first) == of(*second)) == (first == second)


@pytest.mark.parametrize(("one", "other"), itertools.combinations(SHAPES, 2))
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_different_kinds_never_share_a_path(one, other, data):
    names = NAME.filter(lambda name: name not in (*FOLDERS_BESIDE_DATA, "runs"))
    paths = [getattr(layout, kind)(*data.draw(st.tuples(*[names] * SHAPES[kind]))) for kind in (one, other)]
    assert paths[0] != paths[1]


def test_all_paths_stay_below_the_project():
    for kind, count in SHAPES.items():
        path = getattr(layout, kind)(*"abcde"[:count])
        assert not path.is_absolute()
        assert ".." not in path.parts


def test_a_seed_is_a_number_or_a_wildcard():
    assert layout.run("w", "d", "a", 3) == layout.run("w", "d", "a", "3")
    assert str(layout.run("{world}", "{data}", "{arm}", "{seed}")).endswith("{arm}/seed{seed}")


def test_git_keeps_away_from_all_that_is_made():
    ignored = set((ROOT / ".gitignore").read_text().split())
    made = {getattr(layout, kind)(*"abcde"[:count]).parts[0] for kind, count in SHAPES.items() if kind not in KEPT}
    made |= {
        path.parts[0] for path in (layout.STORE, layout.LOGS, layout.ARTIFACTS, layout.DATABASE.with_suffix(".ready"))
    }
    assert {f"/{name}" for name in made} <= {line.rstrip("/") for line in ignored}


@pytest.mark.parametrize(
    ("told", "store"),
    [
        ({}, ".store/runs"),
        ({"DVC_ROOT": "/home/project"}, "/home/project/.store/runs"),
        ({"DVC_ROOT": "/home/project", "STEERING_STORE": "/shared"}, "/shared/runs"),
    ],
)
def test_the_run_store_is_the_project_s_or_where_one_says(told, store):
    known = {name: value for name, value in os.environ.items() if name not in ("DVC_ROOT", "STEERING_STORE")}
    asked = [sys.executable, "-c", "from steering import layout; print(layout.RUNS)"]
    said = subprocess.run(asked, cwd=ROOT, env=known | told, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == store


def outs() -> list[PurePath]:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    listed = [out for stage in stages.values() for out in stage["outs"]]
    return [PurePath(out if isinstance(out, str) else next(iter(out))) for out in listed]


def test_the_outs_of_dvc_do_not_nest():
    for one, other in itertools.permutations(outs(), 2):
        assert not other.is_relative_to(one), f"{other} lies in {one}"


@pytest.mark.parametrize(
    "kind", [kind for kind in SHAPES if kind not in {"download", "verdicts", "attempt", *KEPT}]
)  # fetched again; kept in the run store
def test_dvc_remembers_every_prepared_folder(kind):
    path = getattr(layout, kind)(*"abcde"[: SHAPES[kind]])
    assert sum(path.is_relative_to(out) for out in outs()) == 1


def test_each_stage_of_dvc_is_a_phase_of_the_workflow():
    phases = re.findall(r"^rule (phase_\w+):", (ROOT / "workflow/rules/phases.smk").read_text(), re.MULTILINE)
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert [stage["cmd"].split()[1] for stage in stages.values()] == phases
