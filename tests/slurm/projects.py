"""A project to run on the test cluster: the 3b world in small, with few data sets and one benchmark, ready to train."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from standins import stand_in
from test_workflow import copied

ROOT = Path(__file__).resolve().parent.parent.parent
PROFILE = "workflow/profiles/slurm"
BENCHMARK = "gqa"
MIXTURE = "scienceqa"
PATIENCE_SECONDS = 240
EXPERIMENT = {
    "title": "Two arms on a cluster",
    "question": "Do all jobs come through?",
    "world": "3b",
    "data": MIXTURE,
    "arms": ["none", "mores_b", "ia3"],
    "seeds": [0],
    "attention": {"benchmark": BENCHMARK, "questions": 2},
}


def make_project(folder: Path, parts: tuple[Callable[..., Any], Any]) -> Path:
    """A project in *folder* whose sources are fetched already; `parts` as in `standins.stand_in`."""
    copied(folder)
    stand_in(folder, ROOT / "params.yaml", parts, {"url": "http://127.0.0.1:1/v1", "model": "none", "prompts": {}})
    edit(folder, narrowed)
    quicken(folder)
    return folder


def narrowed(raw: dict[str, Any]) -> None:
    world = raw["worlds"]["3b"]
    world["benchmarks"] = {BENCHMARK: world["benchmarks"][BENCHMARK]}
    world["mixtures"] = {MIXTURE: {"conversations": world["mixtures"][MIXTURE]["conversations"]}}
    used = {world["pretrain"]["dataset"], MIXTURE, world["benchmarks"][BENCHMARK]["dataset"]}
    world["datasets"] = {name: row for name, row in world["datasets"].items() if name in used}
    world["gpus"] = 1
    world.pop("judge")
    world.pop("analyses")
    raw.pop("judges")
    raw["experiments"] = {"cluster": EXPERIMENT}
    raw["default"] = "cluster"


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the project's params.yaml."""
    path = folder / "params.yaml"
    raw = yaml.safe_load(path.read_text())
    change(raw)
    path.write_text(yaml.safe_dump(raw, sort_keys=False))


def quicken(folder: Path) -> None:
    """Ask SLURM oftener than a real cluster likes, and for its fake GPUs by their model."""
    path = folder / PROFILE / "config.yaml"
    told = yaml.safe_load(path.read_text())
    told["config"].append("gpu_model=fake")
    told |= {"slurm-init-seconds-before-status-checks": 2, "latency-wait": 5}
    path.write_text(yaml.safe_dump(told))


def environment(**more: str) -> dict[str, str]:
    """As a user's shell has it: the project's programs first in PATH, one thread a process."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("SNAKEMAKE", "SLURM"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), known.get("PATH", "")])
    return known | {"PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | more


def head(folder: Path, *arguments: str, **more: str) -> subprocess.Popen:
    """A running `snakemake` that submits to SLURM, its words in head.log."""
    with (folder / "head.log").open("a") as log:
        command = ["snakemake", "--profile", PROFILE, *arguments]
        return subprocess.Popen(command, cwd=folder, env=environment(**more), stdout=log, stderr=log)


def words(folder: Path) -> str:
    return (folder / "head.log").read_text()


def forget(folder: Path, *paths: str) -> None:
    """Remove outputs and the run store, so that jobs run anew."""
    for path in (".store/runs", *paths):
        shutil.rmtree(folder / path, ignore_errors=True)


def training(folder: Path, *, above: int = 0) -> Callable[[], bool]:
    """Whether a run has trained more than *above* steps and goes on."""

    def running() -> bool:
        return any(
            len(path.read_text().splitlines()) > above for path in folder.glob(".store/runs/*/making/metrics.jsonl")
        )

    return running


def until(condition: Callable[[], Any], what: str, *, seconds: float = PATIENCE_SECONDS) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"waited {seconds} s in vain for {what}"
        time.sleep(0.3)
    return found
