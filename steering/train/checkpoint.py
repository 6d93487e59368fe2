"""Resume checkpoints: everything a run needs to go on, written whole or not at all.

A checkpoint is a folder step-NNNNNNNN with `trainable.safetensors`, `optimiser.pt` and `checksums.json`. It is
written beside its place, flushed to disk and renamed; the newest one whose checksums hold is used.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from steering.errors import CheckpointError
from steering.manifest import flush_to_disk, sha256_file
from steering.model.composed import ComposedModel
from steering.train.optimiser import trainable


class CheckpointStore:
    """The checkpoints of one run under *folder*, saved every *every* steps, the newest *keep* of them kept."""

    def __init__(self, folder: Path, *, every: int, keep: int = 2):
        self.folder, self.every, self.keep = folder, every, keep
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".step-*"):
            shutil.rmtree(leftover)

    def maybe_save(self, step: int, model: ComposedModel, optimiser: Optimizer, schedule: LambdaLR) -> None:
        if step % self.every == 0:
            self.save(step, model, optimiser, schedule)

    def save(self, step: int, model: ComposedModel, optimiser: Optimizer, schedule: LambdaLR) -> None:
        aside = self.folder / f".step-{step:08d}"
        aside.mkdir()
        save_file(
            {name: p.detach().contiguous() for name, p in trainable(model).items()}, aside / "trainable.safetensors"
        )
        plan = {key: value for key, value in schedule.state_dict().items() if key != "lr_lambdas"}
        state = {"step": step, "optimiser": optimiser.state_dict(), "schedule": plan}
        (aside / "optimiser.pt").write_bytes(_bytes(state))
        sums = {path.name: sha256_file(path) for path in sorted(aside.iterdir())}
        (aside / "checksums.json").write_text(json.dumps(sums))
        flush_to_disk(aside)
        place = self.folder / aside.name[1:]
        if place.exists():  # a damaged one, which this run went back behind
            shutil.rmtree(place)
        aside.rename(place)
        for old in self._steps()[self.keep :]:
            shutil.rmtree(old)

    def restore(self, model: ComposedModel, optimiser: Optimizer, schedule: LambdaLR) -> int:
        """Load the newest sound checkpoint; the step to go on from, 0 when there has never been one.

        Raises CheckpointError when checkpoints are there and none is sound: never a fresh start in silence.
        """
        for folder in self._sound():
            self._load(folder, model, optimiser, schedule)
            return int(folder.name.removeprefix("step-"))
        if self._steps():
            raise CheckpointError(f"{self.folder}: no checkpoint is sound; remove the folder to train afresh")
        return 0

    def _steps(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"), reverse=True)

    def _sound(self) -> Iterator[Path]:
        for folder in self._steps():
            fault = _fault(folder)
            if fault is None:
                yield folder
            else:
                print(f"{folder}: {fault}; trying an older checkpoint", file=sys.stderr)

    @staticmethod
    def _load(folder: Path, model: ComposedModel, optimiser: Optimizer, schedule: LambdaLR) -> None:
        saved, own = load_file(folder / "trainable.safetensors"), trainable(model)
        if {n: t.shape for n, t in saved.items()} != {n: p.shape for n, p in own.items()}:
            raise CheckpointError(f"{folder}: its trainable parameters are not this run's")
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(saved[name])
        state = torch.load(folder / "optimiser.pt", weights_only=True)
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict({"lr_lambdas": [None] * len(schedule.lr_lambdas), **state["schedule"]})


def _bytes(state: dict[str, Any]) -> bytes:
    """*state* as torch.save writes it; in memory, since torch's own file writer does not say that a disk is full."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _fault(folder: Path) -> str | None:
    """What is wrong with the checkpoint in *folder*, or None."""
    sums = folder / "checksums.json"
    if not sums.is_file():
        return "checksums.json is missing"
    try:
        expected = json.loads(sums.read_text())
    except ValueError:
        return "checksums.json is damaged"
    for name, value in expected.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if sha256_file(path) != value:
            return f"{name} is damaged (its sha256 has changed)"
    return None
