"""Out of memory: half as many conversations pass through at a time, in twice as many passes, for the same step.

The global batch, and so the learning, stays what the recipe says; only rounding differs. Each halving is kept in a
file with the step from which it holds, so that a resumed run repeats the same passes.
"""

from __future__ import annotations

from pathlib import Path

import torch

from steering.errors import SteeringError
from steering.manifest import read_json, write_json

HALVINGS = 2


class OutOfMemory(SteeringError):
    """A step does not fit into memory, however it is cut."""

    exit_code = 4


def is_out_of_memory(error: BaseException) -> bool:
    """Whether *error* says that memory ran out, on a GPU (a class of its own) or on the CPU (words)."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


class MicroBatch:
    """How many conversations a process puts through at once: *asked*, and half of it from each halving on.

    kept: a JSON file [[step, conversations], ...], oldest first.
    """

    def __init__(self, asked: int, kept: Path):
        self.asked, self._kept = asked, kept
        self.halvings: list[tuple[int, int]] = [(int(a), int(b)) for a, b in read_json(kept)] if kept.exists() else []

    def at(self, step: int) -> int:
        held = [size for start, size in self.halvings if start <= step]
        return held[-1] if held else self.asked

    def halve(self, step: int) -> int:
        """From *step* on; returns the new number. Raises OutOfMemory where it has been halved enough, or is 1."""
        now = self.at(step)
        if now == 1 or len(self.halvings) >= HALVINGS:
            raise OutOfMemory(
                f"step {step + 1}: out of memory with {now} conversations at once, halved {len(self.halvings)} times; "
                "a smaller micro_batch, gradient_checkpointing or a higher ZeRO stage usually helps"
            )
        self.halvings.append((step, (now + 1) // 2))
        write_json(self._kept, self.halvings)
        return self.at(step)
