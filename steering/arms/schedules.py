"""Layer schedules: which decoder layers a name or an explicit list means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from steering.arms.base import listed
from steering.errors import ParamsError, nearest

Schedule = Literal["all", "every_2nd", "every_3rd", "every_4th", "shallow", "middle", "deep"]

STRIDES = {"all": 1, "every_2nd": 2, "every_3rd": 3, "every_4th": 4}
QUARTERS = {"shallow": (0, 2), "middle": (1, 3), "deep": (2, 4)}
"""Half of the layers each, in quarters of the depth: 0-15, 8-23 and 16-31 of the papers' 32."""


def steered_layers(layers: Schedule | Sequence[int], count: int) -> tuple[int, ...]:
    """The decoder layers, of *count*, that a schedule's name or an explicit list means, in rising order.

    Raises ParamsError where the schedule selects nothing or the list is empty, repeats or leaves 0..count-1.
    """
    if faults := layer_faults(layers, count):
        raise ParamsError(faults)
    return tuple(_named(layers, count)) if isinstance(layers, str) else tuple(sorted(layers))


def layer_faults(layers: Schedule | Sequence[int], count: int) -> list[str]:
    """What is wrong with a layer schedule for a model of *count* layers; empty where nothing is."""
    if isinstance(layers, str):
        return _schedule_faults(layers, count)
    if not layers:
        return [f"layers: empty; allowed 0..{count - 1}, each at most once"]
    outside = sorted({layer for layer in layers if not 0 <= layer < count})
    repeated = sorted({layer for layer in layers if list(layers).count(layer) > 1})
    faults = [f"layers: {listed(outside)} outside the model; allowed 0..{count - 1}"] if outside else []
    return faults + ([f"layers: {listed(repeated)} more than once; allowed once each"] if repeated else [])


def _schedule_faults(schedule: str, count: int) -> list[str]:
    known = [*STRIDES, *QUARTERS]
    if schedule not in known:
        return [f"layers: {schedule} is unknown; allowed {', '.join(known)}{nearest(schedule, known)}"]
    return [] if _named(schedule, count) else [f"layers: {schedule} of {count} selects nothing; allowed all"]


def _named(schedule: str, count: int) -> range:
    if schedule in STRIDES:
        return range(0, count, STRIDES[schedule])
    first, last = QUARTERS[schedule]
    return range(count * first // 4, count * last // 4)
