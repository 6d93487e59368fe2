"""Measuring contenders fairly: interleaved rounds, paired ratios with intervals, exact peak memory, and the record.

Each round calls every contender once, in an order that a seeded generator shuffles, so that whatever slows the
machine for a while slows all of them. ratio = median over rounds of (contender / base of the same round); its
interval is a percentile bootstrap over rounds.
"""

from __future__ import annotations

import gc
import importlib.metadata
import os
import platform
import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from steering.analyse.statistics import Interval
from steering.errors import SteeringError
from steering.manifest import commit, now
from steering.progress import progress

PACKAGES = ("torch", "transformers", "peft")
RESAMPLES = 2000
LEVEL = 0.95


def interleaved(
    contenders: Mapping[str, Callable[[], float]], *, rounds: int, warmup: int, seed: int, what: str = "round"
) -> dict[str, list[float]]:
    """What each contender returned in each of *rounds* rounds; *warmup* rounds before them are run and dropped."""
    generator = random.Random(seed)
    measured: dict[str, list[float]] = {name: [] for name in contenders}
    order = list(contenders)
    for number in progress(range(warmup + rounds), what):
        generator.shuffle(order)
        gc.collect()
        for name in order:
            value = contenders[name]()
            if number >= warmup:
                measured[name].append(value)
    return measured


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Wall-clock seconds of *work*, what it queued on a GPU included; Python collects no garbage meanwhile."""
    gc.disable()
    try:
        _finish(device)
        began = time.perf_counter()
        work()
        _finish(device)
        return time.perf_counter() - began
    finally:
        gc.enable()


def ratio(values: Sequence[float], base: Sequence[float], *, seed: int = 0) -> Interval:
    """The median of values[i] / base[i] over rounds i, with its bootstrap interval; one round has no width.

    Raises SteeringError where the two have no round, or not the same rounds.
    """
    if not values or len(values) != len(base):
        raise SteeringError(f"ratio: {len(values)} rounds over {len(base)}; allowed the same rounds, at least one")
    paired = np.asarray(values) / np.asarray(base)  # (rounds,)
    drawn = np.random.default_rng(seed).integers(len(paired), size=(RESAMPLES, len(paired)))
    low, high = np.quantile(np.median(paired[drawn], axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(np.median(paired)), float(low), float(high))


def peak_bytes(work: Callable[[], object], device: torch.device) -> int:
    """The most bytes of tensors that *work* held at once beyond those alive before it; exact, by the allocator."""
    gc.collect()
    if device.type != "cuda":
        return _peak_by_events(work)
    _finish(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    work()
    _finish(device)
    return torch.cuda.max_memory_allocated(device) - before


def _peak_by_events(work: Callable[[], object]) -> int:
    """torch's CPU allocator keeps no peak of its own, but tells the profiler of every allocation and release."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as recorded:
        work()
    results: Any = recorded.profiler
    events = [event for event in results.kineto_results.events() if event.name() == "[memory]"]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return int(np.cumsum(changes).max(initial=0))


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def circumstances(device: torch.device, **settings: Any) -> dict[str, Any]:
    """What a reader needs to judge a measurement: date, commit, versions, machine, settings.

    load: processes that ran or waited, averaged over the minute before; near 0 on a quiet machine.
    """
    return {
        "date": now(),
        "commit": commit(),
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in PACKAGES},
        "machine": {
            "cpu": _cpu_model(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "load": round(os.getloadavg()[0], 2),
        },
        "settings": settings,
    }


def _cpu_model() -> str:
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
