"""A training run small enough for a second: a tiny model, made-up conversations with and without pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from steering.data.collate import Sample
from steering.data.templates import Turn
from steering.metrics_log import MetricsLog
from steering.train.checkpoint import CheckpointStore
from steering.train.engine import Engine, TorchEngine
from steering.train.feed import Feed
from steering.train.loop import Run, fit
from steering.train.memory import MicroBatch
from steering.train.optimiser import Recipe
from steering.train.order import Order
from steering.train.processes import Processes
from tests.conftest import make_model

RECIPE = Recipe(steps=6, conversations=4, connector_learning_rate=1e-2, method_learning_rate=1e-2, clip_norm=0.5)
END = 9


def conversations(*, text_alone: int = 4) -> list[Sample]:
    """Twelve conversations; the last *text_alone* have no picture, so that some passes have none at all."""
    generator = torch.Generator().manual_seed(0)
    pictured = [
        Sample(
            (1, 2),
            (Turn((10, 11), (40 + number % 4, END)), Turn((20,), (50, 51, END))),
            torch.randn(10, 8, generator=generator),
        )
        for number in range(12)
    ]
    return [replace(s, features=None) if n >= 12 - text_alone else s for n, s in enumerate(pictured)]


def run_of(
    settings: Any, folder: Path, *, processes: Processes | None = None, stage: int | None = None, **options: Any
) -> Run:
    """*stage*: of DeepSpeed, or None for plain torch."""
    samples, together = conversations(), processes or Processes()
    recipe = replace(RECIPE, **options.get("recipe", {}))
    blank = replace(samples[0], turns=(Turn((10, 11)),))
    return Run(
        engine=_engine(make_model(settings).to(together.device), recipe, stage, together),
        feed=Feed(Order(12, recipe.conversations, seed=0), samples.__getitem__, blank=blank, processes=together),
        micro_batch=MicroBatch(options.get("micro_batch", recipe.conversations), folder / "micro_batch.json"),
        store=CheckpointStore(folder / "checkpoints", every=options.get("every", 3)),
        steps=recipe.steps,
        seed=0,
        processes=together,
    )


def _engine(model: Any, recipe: Recipe, stage: int | None, processes: Processes) -> Engine:
    if stage is None:
        return TorchEngine(model, recipe)
    from steering.train.zero import ZeroEngine

    return ZeroEngine(model, recipe, stage=stage, processes=processes)


class Silent:
    def log(self, step: int, **values: float) -> None: ...
    def flush(self) -> None: ...


def go(run: Run, folder: Path) -> int:
    return fit(
        run, lambda step: Silent() if run.processes.rank else MetricsLog(folder / "metrics.jsonl", resume_step=step)
    )
