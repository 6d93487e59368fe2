"""From boxes to patches: which cells of the vision encoder's square grid the things in a picture stand on.

A patch's share is how much of its area boxes cover, in closed form: the overlap across times the overlap down, times
side^2. Patches are numbered row by row, as visual tokens are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isqrt

from steering.errors import DataError

Box = Sequence[float]
"""left, top, right, bottom as fractions of the picture."""


def grid_side(tokens: int) -> int:
    """Patches a side of a picture of *tokens* visual tokens; raises DataError where they are no square grid."""
    side = isqrt(tokens)
    if side * side != tokens:
        raise DataError(f"patches: {tokens} visual tokens are no square grid; allowed 1, 4, 9, 16, ...")
    return side


def shares(boxes: Iterable[Box], side: int) -> list[float]:
    """How much of each of the side x side patches *boxes*, which do not overlap each other, cover: 0..1."""
    found = [0.0] * (side * side)
    for left, top, right, bottom in boxes:
        across = [_overlap(left, right, at, side) for at in range(side)]
        down = [_overlap(top, bottom, at, side) for at in range(side)]
        found = [share + down[n // side] * across[n % side] for n, share in enumerate(found)]
    return [min(1.0, share) for share in found]


def covered(boxes: Iterable[Box], side: int) -> list[int]:
    """The patches that *boxes* touch, the most covered first, of equals the first."""
    found = shares(boxes, side)
    return sorted((n for n, share in enumerate(found) if share > 0), key=lambda n: (-round(found[n], 9), n))


def _overlap(start: float, end: float, at: int, side: int) -> float:
    """The part of the *at*-th of *side* equal parts of 0..1 that start..end covers."""
    return max(0.0, min(end, (at + 1) / side) - max(start, at / side)) * side
