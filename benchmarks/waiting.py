"""How long a training step waits for its data: conversations about pictures of an archive, decoded as they come.

The model is the small one of benchmarks.workload with its vision encoder inside, so that a step needs pixels; on a
CPU the workers share the cores with the training, which is where a loader is tried hardest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from benchmarks.workload import OPENING, RESERVED, SIZES, Ours, Workload
from steering.data.collate import Sample
from steering.data.shards import ImageArchive
from steering.data.templates import Turn
from steering.model.encoders import VisionEncoder
from steering.train.feed import Feed
from steering.train.meter import Meter
from steering.train.order import Order
from steering.train.processes import Processes

QUESTIONS, WORDS = 3, 12
WARM_STEPS = 3
"""Steps that are run and not counted: the first waits for the workers to start."""


class Pictured:
    """Conversations about the pictures of an archive, by number; picklable, for a worker opens the archive itself."""

    def __init__(self, folder: Path, names: list[str], encoder: VisionEncoder, tokens: int):
        self.archive, self.names, self.encoder, self.tokens = ImageArchive(folder), names, encoder, tokens

    def sample(self, number: int) -> Sample:
        pixels = self.encoder.preprocess(self.archive.open(self.names[number]))
        words = tuple(RESERVED + (number + place) % 100 for place in range(WORDS))
        turns = tuple(Turn(words, (RESERVED + turn, RESERVED + number % 100)) for turn in range(QUESTIONS))
        return Sample(words[:OPENING], turns, pixels=pixels, visual_tokens=self.tokens)


def wait_share(folder: Path, names: list[str], *, workers: int, steps: int, batch: int, seed: int) -> dict[str, Any]:
    """Seconds that steps took and that of them spent waiting for data, and the share of the second in the first.

    folder, names: of an archive and its pictures; batch: conversations a step.
    """
    load = Workload(SIZES["small"], dtype="float32", device=torch.device("cpu"), seed=seed)
    pictured = Pictured(folder, names, load.encoder, load.size.visual)
    order = Order(len(names), batch, seed=seed)
    feed = Feed(order, pictured.sample, blank=pictured.sample(0), workers=workers)
    ours = load.ours("mores", vision=load.encoder)
    lines = [_step(ours, feed, step, batch) for step in range(WARM_STEPS + steps)][WARM_STEPS:]
    seconds, waited = (sum(line[name] for line in lines) for name in ("seconds", "wait_seconds"))
    return {"steps": steps, "seconds": seconds, "wait_seconds": waited, "wait_share": waited / seconds}


def _step(ours: Ours, feed: Feed, step: int, batch: int) -> dict[str, float]:
    """The step's metrics, as a training has them."""
    meter = Meter(ours.device)
    batches = feed.at(step, batch)
    meter.loaded()
    counts = meter.count(batches, Processes())
    for number, part in enumerate(batches, start=1):
        ours.engine.backward(part, supervised=counts["supervised_tokens"], last=number == len(batches))
    ours.engine.update(step)
    return meter.read(counts)
