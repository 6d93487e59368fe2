"""Layer schedules: which layers, of a decoder or of an encoder's inner ones, a name or an explicit list means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from steering.arms.base import listed
from steering.errors import ParamsError, nearest

Schedule = Literal["all", "every_2nd", "every_3rd", "every_4th", "shallow", "middle", "deep"]
First = Annotated[str, Field(pattern=r"^first_[1-9][0-9]*$")]
"""first_K: layers 0..K-1, as MRT's editing depth asks for."""
Layers = Schedule | First | list[int]

STRIDES = {"all": 1, "every_2nd": 2, "every_3rd": 3, "every_4th": 4}
QUARTERS = {"shallow": (0, 2), "middle": (1, 3), "deep": (2, 4)}
"""Half of the layers each, in quarters of the depth: 0-15, 8-23 and 16-31 of the papers' 32."""


def steered_layers(layers: str | Sequence[int], count: int, *, key: str = "layers") -> tuple[int, ...]:
    """The layers, of *count*, that a schedule's name or an explicit list means, in rising order.

    Raises ParamsError, of the setting *key*, where the schedule selects nothing or goes beyond the model, or the list
    is empty, repeats or leaves 0..count-1.
    """
    if faults := layer_faults(layers, count, key=key):
        raise ParamsError(faults)
    return tuple(_named(layers, count)) if isinstance(layers, str) else tuple(sorted(layers))


def layer_faults(layers: str | Sequence[int], count: int, *, key: str = "layers") -> list[str]:
    """What is wrong with a layer schedule, the setting *key*, for *count* layers; empty where nothing is."""
    if isinstance(layers, str):
        return [f"{key}: {fault}" for fault in _schedule_faults(layers, count)]
    if not layers:
        return [f"{key}: empty; allowed 0..{count - 1}, each at most once"]
    outside = sorted({layer for layer in layers if not 0 <= layer < count})
    repeated = sorted({layer for layer in layers if list(layers).count(layer) > 1})
    faults = [f"{key}: {listed(outside)} outside the model; allowed 0..{count - 1}"] if outside else []
    return faults + ([f"{key}: {listed(repeated)} more than once; allowed once each"] if repeated else [])


def depth(layers: str | Sequence[int], count: int) -> int | None:
    """K where the schedule means layers 0..K-1 of *count*, MRT's editing depth; None where it means others, or none."""
    if layer_faults(layers, count):
        return None
    chosen = steered_layers(layers, count)
    return len(chosen) if chosen == tuple(range(len(chosen))) else None


def _schedule_faults(schedule: str, count: int) -> list[str]:
    known = [*STRIDES, *QUARTERS]
    if (first := _first(schedule)) is not None:
        return [] if 1 <= first <= count else [f"{schedule} of {count} layers; allowed first_1..first_{count}"]
    if schedule not in known:
        return [f"{schedule} is unknown; allowed {', '.join(known)}, first_1..first_{count}{nearest(schedule, known)}"]
    return [] if _named(schedule, count) else [f"{schedule} of {count} selects nothing; allowed all"]


def _named(schedule: str, count: int) -> range:
    if (first := _first(schedule)) is not None:
        return range(first)
    if schedule in STRIDES:
        return range(0, count, STRIDES[schedule])
    start, end = QUARTERS[schedule]
    return range(count * start // 4, count * end // 4)


def _first(schedule: str) -> int | None:
    """K of first_K; None for another name."""
    digits = schedule.removeprefix("first_")
    return int(digits) if digits != schedule and digits.isdecimal() else None
