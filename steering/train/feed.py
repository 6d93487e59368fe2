"""What a process puts through in one step: its share of the step's conversations, cut into micro-batches.

Which conversations a step sees follows from seed and step alone; how they are cut, from the number of processes and
the micro-batch. Every process has the same number of passes, and every pass a picture: one without gets a blank row,
a picture nobody asks about and nothing is learnt from. So all parameters have a part in every backward pass (of
gradient zero there), and collective operations meet, whatever mixture of pictures and text each process draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from torch.utils.data import DataLoader, Dataset

from steering.data.collate import Batch, Sample, collate
from steering.train.order import Order, by_length
from steering.train.processes import Processes


class Feed:
    """Batches of each step for one process.

    sample: the sample of a conversation by its number; blank: a sample with a picture and no answer.
    lengths: of the conversations, so that those of a pass are about equally long, and each process gets all lengths.
    workers: processes that prepare coming steps ahead; 0 prepares each step when it is asked for.
    """

    def __init__(
        self,
        order: Order,
        sample: Callable[[int], Sample],
        *,
        blank: Sample,
        independent: bool = True,
        lengths: Sequence[int] | None = None,
        processes: Processes | None = None,
        workers: int = 0,
    ):
        self.order, self.sample, self.blank, self.independent = order, sample, blank, independent
        self.lengths, self.processes, self.workers = lengths, processes or Processes(), workers
        self._ahead: tuple[int, int, Iterator[list[Batch]]] | None = None

    def at(self, step: int, micro_batch: int) -> list[Batch]:
        """The batches of *step* (from 0) with at most *micro_batch* conversations each, on the process's device."""
        batches = self._next(step, micro_batch) if self.workers else self.prepare(step, micro_batch)
        return [batch.to(self.processes.device) for batch in batches]

    def prepare(self, step: int, micro_batch: int) -> list[Batch]:
        return [self._batch(chosen) for chosen in self.passes(step, micro_batch)]

    def passes(self, step: int, micro_batch: int) -> list[list[int]]:
        """The conversations of each pass of this process; as many passes in every process, the last may be empty."""
        chosen = self.order.batch(step)
        if self.lengths is not None:
            chosen = by_length(chosen, self.lengths)
        rank, count = self.processes.rank, self.processes.count
        own, most = chosen[rank::count], -(-len(chosen) // count)
        return [own[start : start + micro_batch] for start in range(0, most, micro_batch)]

    def _batch(self, chosen: list[int]) -> Batch:
        samples = [self.sample(index) for index in chosen]
        if not any(sample.places for sample in samples):
            samples.append(self.blank)
        return collate(samples, independent=self.independent)

    def _next(self, step: int, micro_batch: int) -> list[Batch]:
        if self._ahead is None or self._ahead[:2] != (step, micro_batch):
            self._ahead = (step, micro_batch, iter(self._loader(step, micro_batch)))
        _, _, coming = self._ahead
        self._ahead = (step + 1, micro_batch, coming)
        return next(coming)

    def _loader(self, start: int, micro_batch: int) -> DataLoader[list[Batch]]:
        steps = _Steps(self, start, micro_batch)
        return DataLoader(steps, batch_size=None, num_workers=self.workers, prefetch_factor=2)


class _Steps(Dataset[list[Batch]]):
    """The steps from *start* on, without an end; only the loader's workers read it."""

    def __init__(self, feed: Feed, start: int, micro_batch: int):
        self.feed, self.start, self.micro_batch = feed, start, micro_batch

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, number: int) -> list[Batch]:
        return self.feed.prepare(self.start + number, self.micro_batch)
