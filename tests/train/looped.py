"""A loop of eight steps over twelve made-up conversations, which may die at any of them, and what it leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from steering.arms import LoraSettings, MoresSettings, NoneSettings
from steering.data.collate import Sample
from steering.data.templates import Turn
from steering.metrics_log import MetricsLog, read_metrics
from steering.model.composed import ComposedModel
from steering.train.checkpoint import CheckpointStore
from steering.train.engine import TorchEngine
from steering.train.feed import Feed
from steering.train.loop import Run, fit
from steering.train.memory import MicroBatch
from steering.train.optimiser import Recipe, trainable
from steering.train.order import Order

ARMS = [NoneSettings(), LoraSettings(rank=2, alpha=4, dropout=0.3), MoresSettings(rank=2, dropout=0.3)]
BY_METHOD = pytest.mark.parametrize("settings", ARMS, ids=lambda arm: arm.method)
RECIPE = Recipe(steps=8, conversations=3, connector_learning_rate=1e-2, method_learning_rate=1e-2, warmup_ratio=0.25)
RATES = {"tokens_per_second", "samples_per_second", "visual_tokens_per_second"}
SYSTEM = {"system/process_cpu_percent", "system/process_memory_bytes"}
CLOCKS = RATES | SYSTEM | {"time", "seconds", "wait_seconds", "peak_memory_bytes"}
END = 9


class Killed(BaseException):
    """Stands in for kill -9: nothing in the loop may catch it."""


def conversations() -> list[Sample]:
    """Twelve pictures of four kinds; the first answer names the kind, the second is always the same."""
    generator = torch.Generator().manual_seed(0)
    looks = 2 * torch.randn(4, 5, 8, generator=generator)
    return [
        Sample(
            (1, 2),
            (Turn((10, 11), (40 + number % 4, END)), Turn((20,), (50, 51, END))),
            looks[number % 4] + 0.1 * torch.randn(5, 8, generator=generator),
        )
        for number in range(12)
    ]


def feed(samples: list[Sample], *, seed: int = 0, size: int = RECIPE.conversations, dies_at: int | None = None) -> Feed:
    order = Order(len(samples), size, seed=seed)
    blank = replace(conversations()[0], turns=(Turn((10, 11)),))
    made = Feed(order, samples.__getitem__, blank=blank)

    def at(step: int, micro_batch: int) -> Any:
        if step == dies_at:
            raise Killed
        return Feed.at(made, step, micro_batch)

    made.at = at  # type: ignore[method-assign]
    return made


def run(
    model: ComposedModel, folder: Path, *, seed: int = 0, recipe: Recipe = RECIPE, every: int = 3, **options: Any
) -> int:
    work = Run(
        engine=options.get("engine", TorchEngine)(model, recipe),
        feed=options.get("feed") or feed(conversations(), seed=seed, dies_at=options.get("dies_at")),
        micro_batch=MicroBatch(options.get("micro_batch", recipe.conversations), folder / "micro_batch.json"),
        store=CheckpointStore(folder / "checkpoints", every=every),
        steps=recipe.steps,
        seed=seed,
    )
    return fit(work, lambda step: MetricsLog(folder / "metrics.jsonl", resume_step=step))


def weights(model: ComposedModel) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in trainable(model).items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def history(folder: Path) -> list[dict[str, Any]]:
    """The metrics lines without what the clock says."""
    lines = read_metrics(folder / "metrics.jsonl")
    return [{key: value for key, value in line.items() if key not in CLOCKS} for line in lines]


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())
