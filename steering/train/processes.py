"""The processes that train one model together: who this one is, what it computes on, and what all of them agree on.

A process that was started alone is a group of one, and then nothing here communicates.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed

from steering.model.device import device

RANK, COUNT = "RANK", "WORLD_SIZE"
PATIENCE = timedelta(minutes=30)  # for a collective: one rank may still be reading its data


@dataclass(frozen=True)
class Processes:
    """Process *rank* of *count*, computing on *device*."""

    rank: int = 0
    count: int = 1
    device: torch.device = torch.device("cpu")

    @property
    def first(self) -> bool:
        return self.rank == 0

    def totals(self, values: Sequence[float]) -> list[float]:
        """The sum of each of *values* over all processes (float64: counts stay exact)."""
        if self.count == 1:
            return [float(value) for value in values]
        kind = torch.float32 if self.device.type == "mps" else torch.float64
        summed = torch.tensor(list(values), dtype=kind, device=self.device)
        distributed.all_reduce(summed)
        return [float(value) for value in summed.tolist()]

    def any(self, said: bool) -> bool:
        """Whether any process says so."""
        return self.totals([float(said)])[0] > 0

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            distributed.barrier()


def join(*, grouped: bool = False) -> Processes:
    """This process among those of its launcher (torchrun, or srun with the same variables).

    grouped: make a process group of one too, which DeepSpeed needs.
    """
    rank, count, own = int(os.environ.get(RANK, 0)), int(os.environ.get(COUNT, 1)), device()
    if own.type == "cuda":
        torch.cuda.set_device(own)
    if (count > 1 or grouped) and not distributed.is_initialized():
        _make_group(rank, count, backend="nccl" if own.type == "cuda" else "gloo")
    return Processes(rank, count, own)


def _make_group(rank: int, count: int, *, backend: str) -> None:
    if count == 1:  # no launcher has named a meeting place, and nobody else will come
        distributed.init_process_group(backend, store=distributed.HashStore(), rank=0, world_size=1)
    else:
        distributed.init_process_group(backend, rank=rank, world_size=count, timeout=PATIENCE)


def part() -> None:
    """Leave the group, all at once, so that no process is still spoken to when it ends."""
    if distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()
