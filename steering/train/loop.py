"""The training loop: nothing in it knows a method, a data set or a world.

Each step: a batch named by the step number alone, one forward and backward pass, one update, one line in the
metrics log. Randomness (dropout) is seeded by run and step, so a step can be repeated exactly.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Protocol

import torch

from steering.data.collate import Batch
from steering.errors import SteeringError
from steering.model.composed import ComposedModel
from steering.progress import progress
from steering.train.checkpoint import CheckpointStore
from steering.train.optimiser import Recipe, build_optimiser, trainable


class DivergedError(SteeringError):
    """Loss or gradient is not a number; the last good checkpoint stays."""

    exit_code = 3


class Log(Protocol):
    def log(self, step: int, **values: float) -> None: ...


def fit(
    model: ComposedModel,
    recipe: Recipe,
    *,
    batch_at: Callable[[int], Batch],
    open_log: Callable[[int], Log],
    store: CheckpointStore,
    seed: int,
) -> int:
    """Train *model* in place from the newest checkpoint of *store* (or the start) to the end of *recipe*.

    batch_at(step) gives the batch of a step (from 0); open_log(step) opens the metrics log behind that step.
    Returns the step it resumed from. Raises DivergedError with the step at which loss or gradient broke.
    """
    optimiser, schedule = build_optimiser(model, recipe)
    start = store.restore(model, optimiser, schedule)
    log = open_log(start)
    model.train()
    for step in progress(range(start, recipe.steps), "step", start=start):
        log.log(step + 1, **_step(model, recipe, optimiser, batch_at=batch_at, step=step, seed=seed))
        schedule.step()
        store.maybe_save(step + 1, model, optimiser, schedule)
    model.eval()
    return start


def _step(
    model: ComposedModel,
    recipe: Recipe,
    optimiser: torch.optim.Optimizer,
    *,
    batch_at: Callable[[int], Batch],
    step: int,
    seed: int,
) -> dict[str, float]:
    began = time.perf_counter()
    batch = batch_at(step)
    loaded = time.perf_counter()
    torch.manual_seed(seed * 1_000_003 + step)
    loss, supervised = model(batch)
    if loss.requires_grad:  # a batch of text alone has nothing to teach a connector or an edit of visual tokens
        loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(trainable(model).values(), recipe.clip_norm)
    _refuse_nonsense(step + 1, loss=float(loss.detach()), gradient_norm=float(norm))
    rates = [group["lr"] for group in optimiser.param_groups]
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    seconds = time.perf_counter() - began
    return {
        "loss": float(loss.detach()),
        "gradient_norm": float(norm),
        "learning_rate": rates[-1],
        "supervised_tokens": float(supervised),
        "tokens_per_second": batch.tokens / seconds,
        "seconds": seconds,
        "wait_seconds": loaded - began,
    }


def _refuse_nonsense(step: int, **values: float) -> None:
    broken = [f"{name} is {value}" for name, value in values.items() if not math.isfinite(value)]
    if broken:
        raise DivergedError(f"step {step}: {' and '.join(broken)}; a lower learning rate usually helps")
