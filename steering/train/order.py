"""Which conversations a step sees: a function of seed and step alone, so that a resumed run sees the same."""

from __future__ import annotations

from functools import lru_cache

import torch


class Order:
    """Epochs of shuffled indices, cut into batches of *size* without a gap between epochs."""

    def __init__(self, count: int, size: int, *, seed: int):
        self.count, self.size, self.seed = count, size, seed
        self._epoch = lru_cache(maxsize=2)(self._shuffled)

    def _shuffled(self, epoch: int) -> list[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        return torch.randperm(self.count, generator=generator).tolist()

    def batch(self, step: int) -> list[int]:
        """The indices of step *step* (from 0)."""
        places = range(step * self.size, (step + 1) * self.size)
        return [self._epoch(place // self.count)[place % self.count] for place in places]
