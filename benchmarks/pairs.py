"""The pairs of contenders whose steps are compared: our step, transformers' Trainer, and ours with one part changed.

What each comparison says stands in benchmarks.training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice

import torch

from benchmarks.measure import seconds
from benchmarks.peer import Peer, questions
from benchmarks.workload import AllLogits, Ours, Workload, alone, asked, length
from steering.data.collate import Sample
from steering.train.order import Order

GROUPED, DRAWN = ORDERS = ("grouped by length", "drawn at random")
GROUPED_STEPS = 4
"""Steps of each order in a round."""


@dataclass(frozen=True)
class Contender:
    """run: the work, which tells how many units it did. loss: before any step, where another does the same step."""

    name: str
    run: Callable[[], int]
    loss: Callable[[], float] | None = None

    def seconds(self, device: torch.device) -> float:
        """Of one unit."""
        done: list[int] = []
        took = seconds(lambda: done.append(self.run()), device)
        return took / sum(done)


@dataclass(frozen=True)
class Comparison:
    """The first of a pair of contenders over the second, per `unit`, at most `limit` where there is a target."""

    pair: Callable[[Workload], tuple[Contender, Contender]]
    unit: str = "question"
    limit: float | None = None


def _ours(name: str, model: Ours, samples: list[Sample]) -> Contender:
    def run() -> int:
        model.step(samples)
        return asked(samples)

    return Contender(name, run, lambda: model.loss(samples))


def _trainer(load: Workload, arm: str) -> Contender:
    peer, rows = Peer(load, arm), questions(load.samples)

    def run() -> int:
        peer.step(rows)
        return len(rows)

    return Contender("Trainer", run, lambda: peer.loss(rows))


def _against_trainer(load: Workload, arm: str) -> tuple[Contender, Contender]:
    return _ours("ours", load.ours(arm), load.samples), _trainer(load, arm)


def _same_rows(load: Workload) -> tuple[Contender, Contender]:
    model = load.ours("mores", kind=AllLogits)
    return _ours("ours, same rows and logits", model, alone(load.samples)), _trainer(load, "mores")


def _sharing(load: Workload) -> tuple[Contender, Contender]:
    shared = _ours("shared picture", load.ours("mores"), load.samples)
    return shared, _ours("one question to a row", load.ours("mores"), alone(load.samples))


def _logits(load: Workload) -> tuple[Contender, Contender]:
    answers = _ours("logits at answers", load.ours("mores"), load.samples)
    return answers, _ours("logits everywhere", load.ours("mores", kind=AllLogits), load.samples)


def _features(load: Workload) -> tuple[Contender, Contender]:
    live, cached = load.pictured(load.samples)
    encoding = load.ours("mores", vision=load.encoder)
    return _ours("cached features", load.ours("mores"), cached), _ours("live encoder", encoding, live)


def _grouping(load: Workload) -> tuple[Contender, Contender]:
    model = load.ours("mores")
    orders = {name: batches(load, name) for name in ORDERS}
    grouped, drawn = (_going_on(name, model, load.mixed, order) for name, order in orders.items())
    return grouped, drawn


def _going_on(name: str, model: Ours, samples: list[Sample], order: list[list[int]]) -> Contender:
    """Each run takes the next steps of *order*, from the start again behind its end."""
    coming = cycle(order)

    def run() -> int:
        chosen = [[samples[index] for index in batch] for batch in islice(coming, GROUPED_STEPS)]
        for batch in chosen:
            model.step(batch)
        return sum(length(sample) for batch in chosen for sample in batch)

    return Contender(name, run)


def batches(load: Workload, order: str) -> list[list[int]]:
    """The batches of one pass over the population, by number, in the order so named."""
    lengths = [length(sample) for sample in load.mixed] if order == GROUPED else None
    count, size = load.size.population, load.size.batch
    drawn = Order(count, size, seed=load.seed, lengths=lengths)
    return [drawn.batch(step) for step in range(count // size)]


def padding(load: Workload) -> dict[str, float]:
    """The share of padding among the positions of one pass over the population, in either order."""
    lengths = [length(sample) for sample in load.mixed]
    columns = {name: sum(max(lengths[i] for i in batch) for batch in batches(load, name)) for name in ORDERS}
    return {name: 1 - sum(lengths) / (load.size.batch * found) for name, found in columns.items()}


COMPARISONS = {
    "trainer_connector": Comparison(lambda load: _against_trainer(load, "connector"), limit=0.85),
    "trainer_mores": Comparison(lambda load: _against_trainer(load, "mores"), limit=0.85),
    "same_rows": Comparison(_same_rows),
    "sharing": Comparison(_sharing),
    "logits": Comparison(_logits),
    "features": Comparison(_features),
    "grouping": Comparison(_grouping, unit="token"),
}
