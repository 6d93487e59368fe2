"""The finished runs on this disk, by the names that layouts, tables and MLflow give them.

A run is what its own manifest says it was trained as, so it can be asked after params.yaml has moved on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steering import layout
from steering.errors import DataError, ParamsError, nearest
from steering.manifest import read_json
from steering.plan import Plan, Run

EDITS = ("mores", "mrt", "loreft")
"""The methods that edit hidden states."""


@dataclass(frozen=True)
class Finished:
    """A run with the slice that it was trained by."""

    run: Run
    content: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.run.name

    @property
    def arm(self) -> str:
        return self.run.arm

    @property
    def method(self) -> str:
        return str(self.content["settings"]["method"])

    @property
    def folder(self) -> Path:
        return layout.run(self.run.world, self.run.data, self.run.arm, self.run.seed)

    def beside(self, other: Finished) -> bool:
        """Whether they are arms of one comparison: the same world, data and seed."""
        own, its = ((run.world, run.data, run.seed) for run in (self.run, other.run))
        return own == its


def finished_runs() -> list[Finished]:
    """Those whose training has ended, by name. Raises DataError where there is none."""
    found = [_read(path) for path in sorted(Path().glob(f"{layout.run('*', '*', '*', '*')}/manifest.json"))]
    if runs := [run for run in found if run]:
        return runs
    raise DataError(f"{layout.run('*', '*', '*', '*')}: no finished run; `make run` or `make smoke` trains some")


def _read(path: Path) -> Finished | None:
    try:
        told = read_json(path)
        content = told["slice"]
        content["language_model"], content["settings"]["method"]  # noqa: B018  # what an answer needs at the least
        run = Run(content["world"], content["data"], content["arm"], content["seed"])
    except (OSError, ValueError, KeyError, TypeError):  # no manifest of a training, or a damaged one
        return None
    return Finished(run, content) if layout.run(run.world, run.data, run.arm, run.seed) == path.parent else None


def default_run(plan: Plan, runs: Sequence[Finished]) -> Finished:
    """The first finished one of the default experiment that edits; else its first that is not the control, else any."""
    by_run = {finished.run: finished for finished in runs}
    wanted = [by_run[run] for run in plan.runs(plan.params.default) if run in by_run]
    edits = [run for run in wanted if run.method in EDITS]
    return [*edits, *(run for run in wanted if run.method != "none"), *wanted, *runs][0]


def run_named(name: str, runs: Sequence[Finished], beside: Finished) -> Finished:
    """The run called *name*, world/data/arm/seedN in full or the arm alone of those *beside* a run.

    Raises ParamsError with all there are, and the nearest, for a name that stands for none.
    """
    names = {run.name: run for run in runs}
    arms = {run.arm: run for run in runs if run.beside(beside)}
    known = {**arms, **names}
    if name not in known:
        listed = "\n".join(f"  {other}" for other in names)
        raise ParamsError([f"run: {name} is not there{nearest(name, known)}; finished are\n{listed}"])
    return known[name]
