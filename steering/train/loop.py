"""The training loop: nothing in it knows a method, a data set or a world.

Each step: batches named by the step number alone, their forward and backward passes, one update, one line in the
metrics log. Randomness (dropout) is seeded by run, step and process, so a step can be repeated exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from steering.data.collate import Batch
from steering.errors import SteeringError
from steering.interrupts import Interrupted, Interrupts
from steering.progress import progress
from steering.train.checkpoint import CheckpointStore
from steering.train.engine import Engine
from steering.train.feed import Feed
from steering.train.memory import MicroBatch, is_out_of_memory
from steering.train.meter import Meter
from steering.train.optimiser import shapes
from steering.train.processes import Processes


class DivergedError(SteeringError):
    """Loss or gradient is not a number; the last good checkpoint stays."""

    exit_code = 3


class Log(Protocol):
    def log(self, step: int, **values: float) -> None: ...
    def flush(self) -> None: ...


@dataclass(frozen=True)
class Run:
    """All that one training run has at hand; `steps` is its length, `seed` names its randomness."""

    engine: Engine
    feed: Feed
    micro_batch: MicroBatch
    store: CheckpointStore
    steps: int
    seed: int
    processes: Processes = Processes()


def fit(run: Run, open_log: Callable[[int], Log]) -> int:
    """Train the engine's model in place, from the newest checkpoint (or the start) to the last step.

    open_log(step) opens the metrics log behind that step. Returns the step it resumed from. Raises DivergedError with
    the step at which loss or gradient broke, Interrupted once a signal has asked for the end and the state is saved,
    OutOfMemory where a step does not fit however it is cut.
    """
    start = _resume(run)
    log = open_log(start)
    run.engine.model.train()
    with Interrupts() as interrupts:
        for step in progress(range(start, run.steps), "step", start=start):
            if run.processes.any(interrupts.asked is not None):
                _stop(run, step, log, interrupts.asked)
            log.log(step + 1, **_step(run, step))
            if run.store.due(step + 1):
                _save(run, step + 1, log)
    run.engine.model.eval()
    return start


def _resume(run: Run) -> int:
    found = run.store.newest(shapes(run.engine.model))
    if found is None:
        return 0
    step, state = found
    run.engine.restore(state)
    return step


def _save(run: Run, step: int, log: Log) -> None:
    state = run.engine.state()
    if run.processes.first:
        log.flush()
        run.store.save(step, state)
    run.processes.wait()


def _stop(run: Run, step: int, log: Log, asked: str | None) -> None:
    if step and not run.store.due(step):
        _save(run, step, log)
    raise Interrupted(f"{asked or 'a signal'}: stopped after step {step} of {run.steps}; run again to go on from there")


def _step(run: Run, step: int) -> dict[str, float]:
    """One update; where memory runs out the same step again in smaller passes."""
    while True:
        try:
            return _passes(run, step)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            _shrink(run, step)


def _passes(run: Run, step: int) -> dict[str, float]:
    meter = Meter(run.processes.device)
    batches = run.feed.at(step, run.micro_batch.at(step))
    meter.loaded()
    counts = meter.count(batches, run.processes)
    if not counts["supervised_tokens"]:
        raise DivergedError(f"step {step + 1}: no supervised token in {len(run.feed.order.batch(step))} conversations")
    torch.manual_seed(run.seed * 1_000_003 + step + 7_919_000_017 * run.processes.rank)
    loss = _backward(run, batches, supervised=counts["supervised_tokens"])
    _refuse_nonsense(step + 1, loss=loss)
    norm, rate = run.engine.update(step)
    _refuse_nonsense(step + 1, gradient_norm=norm)
    return {"loss": loss, "gradient_norm": norm, "learning_rate": rate, **meter.read(counts)}


def _backward(run: Run, batches: Sequence[Batch], *, supervised: float) -> float:
    """The step's loss, the mean over the supervised tokens of all processes."""
    parts: list[Tensor] = [
        run.engine.backward(batch, supervised=supervised, last=number == len(batches))
        for number, batch in enumerate(batches, start=1)
    ]
    return run.processes.totals([float(torch.stack(parts).sum())])[0]


def _shrink(run: Run, step: int) -> None:
    """Smaller passes from *step* on; with several processes by a new start, for the others wait in a collective."""
    size = run.micro_batch.halve(step)
    if run.processes.device.type == "cuda":
        torch.cuda.empty_cache()
    print(f"step {step + 1}: out of memory; from here {size} conversations at once", flush=True)
    if run.processes.count > 1 or not run.engine.forgets:
        raise Interrupted(f"step {step + 1}: out of memory; run again to go on with {size} conversations at once")
    run.engine.abandon()


def _refuse_nonsense(step: int, **values: float) -> None:
    broken = [f"{name} is {value}" for name, value in values.items() if not math.isfinite(value)]
    if broken:
        raise DivergedError(f"step {step}: {' and '.join(broken)}; a lower learning rate usually helps")
