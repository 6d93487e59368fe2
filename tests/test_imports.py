"""Who may import whom: what plans and reports stays free of torch and MLflow, and evaluation knows no training."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("torch", "transformers", "peft", "mlflow")
LIGHT = [
    "steering.errors",
    "steering.arms",
    "steering.params",
    "steering.papers",
    "steering.plan",
    "steering.sizing",
    "steering.cost",
    "steering.graph",
    "steering.standing",
    "steering.published",
    "steering.hours",
    "steering.forecast",
    "steering.requests",
    "steering.status",
    "steering.status_text",
    "steering.heads",
    "steering.slurm",
    "steering.command_line",
    "steering.parts",
    "steering.plan_table",
    "steering.layout",
    "steering.manifest",
    "steering.job",
    "steering.interrupts",
    "steering.tracking",
    "steering.tracking.live",
    "steering.evaluate.benchmarks",
    "steering.evaluate.scoring",
    "steering.evaluate.judge",
    "steering.evaluate.likelihood",
    "steering.evaluate.journal",
    "steering.evaluate.asking",
    "steering.evaluate.results",
    "steering.evaluate.answered",
    "steering.chat.runs",
    "steering.chat.pictures",
    "steering.analyse.statistics",
    "steering.analyse.sharpness",
    "steering.analyse.tables",
    "steering.analyse.figures",
    "steering.analyse.rendering",
    "steering.analyse.beside_written",
    "steering.analyse.report",
    "steering.analyse.index",
    "steering.analyse.card",
    "steering.evaluate.benchmarks.submission",
    "steering.data.sources",
    "steering.data.catalogue",
    "steering.data.converters",
    "steering.data.evaluation",
    "steering.data.builders",
    "steering.data.shards",
    "steering.data.picture_check",
    "steering.data.conversations",
    "steering.data.embedded",
]
LIGHT_STAGES = [
    "fetch",
    "dataset",
    "check",
    "mixture",
    "judge",
    "score",
    "submit",
    "report",
    "track",
    "tracking_database",
    "tune",
    "predict",
    "landscape",
    "attention",
    "maps",
    "plan",
    "paper",
    "published",
    "status",
    "chat",
    "partial",
    "resume",
    "index",
]

# room -> the rooms below it; every room may import the ground
GROUND = {"errors", "families", "arms", "params", "plan", "layout", "manifest", "progress", "metrics_log", "interrupts"}
GROUND |= {"papers", "slices", "measured", "attempts", "heads", "slurm", "records", "command_line", "targets"}
GROUND |= {"__init__"}
ROOMS = {
    "data": {"model"},
    "model": {"data"},
    "methods": {"model", "data"},
    "train": {"data", "model", "methods", "tracking", "assemble"},
    "analyse": {"evaluate", "data", "model", "methods"},
    "evaluate": {"analyse", "data", "model", "methods", "assemble"},
    "chat": {"analyse", "evaluate", "data", "model", "methods", "assemble"},
    "assemble": {"data", "model", "methods", "job"},
    "job": set(),
    "sizing": {"model"},
    "cost": {"sizing"},
    "graph": set(),
    "standing": {"graph", "job"},
    "hours": {"sizing", "cost"},
    "requests": {"sizing", "cost", "hours"},
    "status": {"graph", "standing"},
    "status_text": {"plan_table", "standing"},
    "forecast": {"sizing", "cost", "hours", "standing"},
    "parts": {"data", "evaluate", "model"},
    "plan_table": set(),
    "published": {"graph", "job", "evaluate"},
    "tracking": set(),
}
PLANNERS = {"errors", "families", "arms", "params", "plan", "layout", "manifest", "faults", "yaml_strict", "references"}
PLANNERS |= {"papers", "slices", "measured", "heads", "attempts", "interrupts", "slurm", "targets"}
ESTIMATES = {"requests"}  # reaches sizes, whose model builds an encoder on the meta device, if asked, with torch

IMPORT_EACH = """
import importlib, json, sys
loaded = {}
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
    loaded[name] = [heavy for heavy in json.loads(sys.argv[2]) if heavy in sys.modules]
print(json.dumps(loaded))
"""


@cache
def files() -> dict[str, ast.Module]:
    """Module name -> parsed source, of the library and the stages."""
    paths = [*ROOT.glob("steering/**/*.py"), *ROOT.glob("stages/*.py")]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in zip(names, paths, strict=True)}


@cache
def imports(module: str) -> frozenset[str]:
    """What *module* imports anywhere in its text, functions included: modules, and names that are modules."""
    found = set()
    for node in ast.walk(files()[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import; allowed are absolute ones"
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & files().keys()
            found |= inner if inner else {node.module or ""}
    return frozenset(found)


@cache
def reached(module: str) -> frozenset[str]:
    """All modules of the project that *module* may come to import."""
    seen, waiting = set(), [module]
    while waiting:
        own = imports(waiting.pop()) & files().keys()
        waiting += own - seen
        seen |= own
    return frozenset(seen)


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


@pytest.fixture(scope="module")
def loaded() -> dict[str, list[str]]:
    names = LIGHT + [f"stages.{name}" for name in LIGHT_STAGES]
    command = [sys.executable, "-c", IMPORT_EACH, json.dumps(names), json.dumps(HEAVY)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("module", LIGHT + [f"stages.{name}" for name in LIGHT_STAGES])
def test_what_needs_no_model_loads_none(loaded, module):
    assert loaded[module] == []


def test_mlflow_is_imported_in_one_place():
    users = {name for name in files() if any(found.split(".")[0] == "mlflow" for found in imports(name))}
    assert {room(name) for name in users} == {"tracking"}


@pytest.mark.parametrize("tool", ["snakemake", "dvc"])
def test_the_library_knows_no_workflow_tool(tool):
    assert [name for name in files() if any(found.split(".")[0] == tool for found in imports(name))] == []


def test_stages_never_import_each_other_and_nothing_imports_them():
    for name in files():
        assert not [found for found in imports(name) if found.split(".")[0] == "stages"], name


@pytest.mark.parametrize("module", ["steering.evaluate.generate", "steering.analyse.attention"])
def test_evaluation_reaches_no_training(module):
    assert not [found for found in reached(module) if room(found) == "train"]


def test_nothing_but_stages_imports_training():
    users = [
        name for name in files() if room(name) != "train" and any(room(found) == "train" for found in imports(name))
    ]
    assert {name.split(".")[0] for name in users} == {"stages"}


@pytest.mark.parametrize("module", sorted(PLANNERS))
def test_what_the_snakefile_may_import_reaches_only_its_like(module):
    assert {room(found) for found in reached(f"steering.{module}")} <= PLANNERS


def test_every_room_imports_only_what_is_below_it():
    for name in (name for name in files() if room(name) in ROOMS and name.startswith("steering.")):
        allowed = ROOMS[room(name)] | GROUND | {room(name)}
        found = {room(other) for other in imports(name) & files().keys()}
        assert found <= allowed, f"{name} imports {sorted(found - allowed)}; allowed: {sorted(allowed)}"


def test_the_snakefile_imports_only_planners():
    for path in (ROOT / "Snakefile", *(ROOT / "workflow/rules").glob("*.smk")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("from steering"):
                module, names = line.removeprefix("from ").split(" import ")
                used = [module] if module != "steering" else [f"steering.{name}" for name in names.split(", ")]
                assert {room(name) for name in used} <= PLANNERS | ESTIMATES, f"{path.name}: {line}"
