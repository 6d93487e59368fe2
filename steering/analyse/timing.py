"""Times compared fairly: interleaved rounds, paired ratios and differences with intervals, and what a reader must know.

Each round calls every contender once. The order is drawn anew for every cycle of as many rounds as there are
contenders and turned by one place from round to round, so that within a cycle each stands at every place once, and
whatever slows the machine for a while slows all of them.

    ratio      = median over rounds of contender / base of the same round
    difference = median over rounds of contender - base of the same round

Their intervals are percentile bootstraps over rounds, which know nothing of what slows a contender in all rounds alike.
"""

from __future__ import annotations

import gc
import importlib.metadata
import os
import platform
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from steering.analyse.statistics import LEVEL, RESAMPLES, Array, Interval
from steering.errors import SteeringError
from steering.manifest import commit, now
from steering.progress import progress

PACKAGES = ("torch", "transformers", "peft")

Told = TypeVar("Told")


def orders(names: Sequence[str], *, seed: int) -> Iterator[list[str]]:
    """The order of *names* in each round, without end."""
    generator = random.Random(seed)
    while True:
        cycle = generator.sample(list(names), len(names))
        yield from (cycle[first:] + cycle[:first] for first in range(len(cycle)))


def interleaved(
    contenders: Mapping[str, Callable[[], Told]], *, rounds: int, warmup: int, seed: int, what: str = "round"
) -> dict[str, list[Told]]:
    """What each contender returned in each of *rounds* rounds; *warmup* rounds before them are run and dropped."""
    measured: dict[str, list[Told]] = {name: [] for name in contenders}
    order = orders(list(contenders), seed=seed)
    for number in progress(range(warmup + rounds), what):
        gc.collect()
        for name in next(order):
            value = contenders[name]()
            if number >= warmup:
                measured[name].append(value)
    return measured


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Wall-clock seconds of *work*, what it queued on a GPU included; Python collects no garbage meanwhile."""
    gc.disable()
    try:
        finish(device)
        began = time.perf_counter()
        work()
        finish(device)
        return time.perf_counter() - began
    finally:
        gc.enable()


def finish(device: torch.device) -> None:
    """Wait for what a GPU still has to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def ratio(values: Sequence[float], base: Sequence[float], *, seed: int = 0) -> Interval:
    """The median of values[i] / base[i] over rounds i, with its bootstrap interval; one round has no width.

    Raises SteeringError where the two have no round, or not the same rounds.
    """
    first, second = _same_rounds("ratio", values, base)
    return _median(first / second, seed=seed)


def difference(values: Sequence[float], base: Sequence[float], *, seed: int = 0) -> Interval:
    """As `ratio`, of values[i] - base[i]."""
    first, second = _same_rounds("difference", values, base)
    return _median(first - second, seed=seed)


def typical(values: Sequence[float], *, seed: int = 0) -> Interval:
    """The median of *values* over rounds, as `ratio`."""
    return _median(_same_rounds("typical", values, values)[0], seed=seed)


def _same_rounds(what: str, values: Sequence[float], base: Sequence[float]) -> tuple[Array, Array]:
    if not values or len(values) != len(base):
        raise SteeringError(f"{what}: {len(values)} rounds over {len(base)}; allowed the same rounds, at least one")
    return np.asarray(values, dtype=float), np.asarray(base, dtype=float)


def _median(paired: Array, *, seed: int) -> Interval:
    drawn = np.random.default_rng(seed).integers(len(paired), size=(RESAMPLES, len(paired)))
    low, high = np.quantile(np.median(paired[drawn], axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(np.median(paired)), float(low), float(high))


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
