"""Resume checkpoints: everything a run needs to go on, written whole or not at all.

A checkpoint is a folder step-NNNNNNNN with `weights.safetensors`, `moments.safetensors` (AdamW's), `run.json` (whose
it is) and `checksums.json`. It is written beside its place, flushed to disk and renamed; the newest one that is sound
and this run's own is used, and what is wrong with any newer one is told.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from steering.errors import CheckpointError
from steering.manifest import flush_entry, flush_to_disk, read_json, sha256_file
from steering.train.engine import State

WEIGHTS, MOMENTS, RUN, SUMS = "weights.safetensors", "moments.safetensors", "run.json", "checksums.json"


class CheckpointStore:
    """The checkpoints of one run under *folder*, saved every *every* steps, the newest *keep* of them kept.

    run: names of what makes a run this one (its arm, its base, its data), by which a stranger's is refused.
    """

    def __init__(self, folder: Path, *, every: int, keep: int = 2, run: Mapping[str, str] | None = None):
        self.folder, self.every, self.keep, self.run = folder, every, keep, dict(run or {})

    def due(self, step: int) -> bool:
        return step % self.every == 0

    def save(self, step: int, state: State) -> None:
        """Write the checkpoint of *step* (steps done) and remove those too old to be kept."""
        aside = self.folder / f".step-{step:08d}"
        self._clean()
        aside.mkdir(parents=True)
        save_file(state.weights, aside / WEIGHTS)
        save_file(state.moments, aside / MOMENTS)
        (aside / RUN).write_text(json.dumps(self.run))
        (aside / SUMS).write_text(json.dumps({path.name: sha256_file(path) for path in sorted(aside.iterdir())}))
        flush_to_disk(aside)
        place = self.folder / aside.name[1:]
        if place.exists():  # a damaged one, which this run went back behind
            shutil.rmtree(place)
        aside.rename(place)
        flush_entry(self.folder)
        for old in self._steps()[self.keep :]:
            shutil.rmtree(old)

    def newest(self, shapes: Mapping[str, torch.Size]) -> tuple[int, State] | None:
        """Steps done and state of the newest checkpoint that is sound and this run's; None when there never was one.

        shapes: of the weights that this run trains. Raises CheckpointError when checkpoints are there and none will
        do: never a fresh start in silence.
        """
        faults = []
        for folder in self._steps():
            fault = _damage(folder) or self._strangeness(folder, shapes)
            if fault is None:
                state = State(load_file(folder / WEIGHTS), load_file(folder / MOMENTS))
                return int(folder.name.removeprefix("step-")), state
            faults.append(f"{folder}: {fault}")
            print(f"{faults[-1]}; trying an older checkpoint", file=sys.stderr)
        if faults:
            advice = "remove the folder to train afresh"
            raise CheckpointError("\n".join([*faults, f"{self.folder}: no checkpoint will do; {advice}"]))
        return None

    def _clean(self) -> None:
        """Away with what an attempt that was cut short has left."""
        for leftover in self.folder.glob(".step-*"):
            shutil.rmtree(leftover)

    def _steps(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"), reverse=True)

    def _strangeness(self, folder: Path, shapes: Mapping[str, torch.Size]) -> str | None:
        """What makes the checkpoint in *folder* another run's, or None."""
        theirs = read_json(folder / RUN)
        if unlike := sorted(key for key in theirs.keys() | self.run.keys() if theirs.get(key) != self.run.get(key)):
            told = ", ".join(f"{key} is {theirs.get(key)}, here {self.run.get(key)}" for key in unlike)
            return f"of another run: {told}"
        saved = {name: tensor.shape for name, tensor in load_file(folder / WEIGHTS).items()}
        if saved != dict(shapes):
            return "of another run: its trainable parameters are not this run's"
        return None


def _damage(folder: Path) -> str | None:
    """What is broken in the checkpoint in *folder*, or None."""
    sums = folder / SUMS
    if not sums.is_file():
        return f"{SUMS} is missing"
    try:
        expected: dict[str, Any] = json.loads(sums.read_text())
    except ValueError:
        return f"{SUMS} is damaged"
    if missing := sorted({WEIGHTS, MOMENTS, RUN} - expected.keys()):
        return f"{SUMS} says nothing of {', '.join(missing)}"
    for name, value in expected.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if sha256_file(path) != value:
            return f"{name} is damaged (its sha256 has changed)"
    return None
