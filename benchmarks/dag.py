"""How long the workflow takes to read and the plan to print where there are many runs: `python -m benchmarks.dag`.

A grid is the project's params.yaml with one more experiment: the seeds of one arm, as many as there are runs. `dry run`
is `snakemake -n` of it in a fresh folder, `plan` is `python -m stages.plan`; both as a user types them, start-up
included. The floor is a grid of one run, so that a ratio tells what the runs cost over starting at all.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
import yaml

from benchmarks.command import command, positive
from benchmarks.measure import circumstances, interleaved, ratio
from benchmarks.methods import table
from steering.errors import SteeringError
from steering.manifest import write_json
from steering.yaml_strict import load_yaml

ROOT = Path(__file__).resolve().parent.parent
CPU = torch.device("cpu")
GRID = "grid"
KINDS: dict[str, list[str]] = {
    "dry run": ["snakemake", "--dry-run", "--quiet", "all", "--", GRID],
    "plan": [sys.executable, "-m", "stages.plan", GRID],
}


def project(folder: Path, runs: int) -> Path:
    """The workflow with an experiment of *runs* runs, and nothing made yet."""
    folder.mkdir(parents=True)
    shutil.copytree(ROOT / "workflow", folder / "workflow", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", folder)
    raw = load_yaml(ROOT / "params.yaml")
    wanted = {key: told for key, told in raw["experiments"][raw["default"]].items() if key != "paper"}
    raw["experiments"][GRID] = wanted | {"arms": [wanted["arms"][0]], "seeds": list(range(runs))}
    (folder / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return folder


def seconds(kind: str, folder: Path) -> float:
    """Of one call. Raises SteeringError where it fails."""
    settings = os.environ | {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    began = time.perf_counter()
    done = subprocess.run(KINDS[kind], cwd=folder, env=settings, capture_output=True, text=True)
    took = time.perf_counter() - began
    if done.returncode:
        raise SteeringError(f"{kind} of {folder.name}: {done.stderr[-2000:]}")
    return took


def measure(*, runs: list[int], repeats: int, seed: int) -> dict[str, Any]:
    """The record: seconds by kind and number of runs, and ratios over one run."""
    told = circumstances(CPU, runs=runs, repeats=repeats, warmup=0, seed=seed)
    with tempfile.TemporaryDirectory() as name:
        folders = {count: project(Path(name) / str(count), count) for count in (1, *runs)}
        contenders: dict[str, Callable[[], float]] = {
            f"{kind}, {count}": partial(seconds, kind, folder) for kind in KINDS for count, folder in folders.items()
        }
        raw = interleaved(contenders, rounds=repeats, warmup=0, seed=seed)
    over = {name: ratio(values, raw[f"{name.split(',')[0]}, 1"], seed=seed).as_dict() for name, values in raw.items()}
    return told | {"seconds": raw, "over_one_run": over}


def rows_of(record: dict[str, Any]) -> list[list[str]]:
    """The header, then a row for each kind of call and size of grid."""
    told = [["what, runs", "seconds", "over one run"]]
    for name, values in record["seconds"].items():
        found = record["over_one_run"][name]
        told.append([name, f"{median(values):.1f}", f"{found['value']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"])
    return told


def main(arguments: list[str] | None = None) -> None:
    told = vars(_parser().parse_args(arguments))
    out, markdown = told.pop("out"), told.pop("markdown")
    record = measure(**told)
    write_json(out, record)
    print(table(rows_of(record), markdown=markdown))
    print(f"written: {out}")


def _parser() -> argparse.ArgumentParser:
    parser = command("dag", __doc__, repeats=3, repeated="calls of each kind and size")
    parser.add_argument("--runs", nargs="+", type=positive, default=[1000, 5000], help="sizes of the grids")
    return parser


if __name__ == "__main__":
    main()
