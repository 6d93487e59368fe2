"""Measuring contenders fairly: rounds, paired ratios and records of steering.analyse.timing, and exact peak memory."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from steering.analyse.timing import circumstances, finish, interleaved, ratio, seconds

__all__ = ["circumstances", "interleaved", "peak_bytes", "ratio", "seconds"]


def peak_bytes(work: Callable[[], object], device: torch.device) -> int:
    """The most bytes of tensors that *work* held at once beyond those alive before it; exact, by the allocator."""
    gc.collect()
    if device.type != "cuda":
        return _peak_by_events(work)
    finish(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    work()
    finish(device)
    return torch.cuda.max_memory_allocated(device) - before


def _peak_by_events(work: Callable[[], object]) -> int:
    """torch's CPU allocator keeps no peak of its own, but tells the profiler of every allocation and release."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as recorded:
        work()
    results: Any = recorded.profiler
    events = [event for event in results.kineto_results.events() if event.name() == "[memory]"]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return int(np.cumsum(changes).max(initial=0))
