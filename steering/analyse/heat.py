"""Attention as small pictures: a heat over a picture's grid, and a whole map with who stands where along its edges.

Both are PNGs of a few hundred bytes to a few kilobytes: one colour of growing opacity, so that they lie on white and
on dark paper, and on a grey picture, alike.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Array = NDArray[np.floating]

LEVELS = 24
SIDE = 128  # pixels of a map; larger ones are averaged down
STRIP = 5  # pixels of the edge that tells roles
LEAST = 1e-4  # attention that is drawn as none; a map's colours are logarithmic from here to 1
HEAT = (232, 89, 12)
INK = (43, 127, 196)
ROLES = {"template": "#8b909a", "visual": "#e8590c", "prompt": "#12977a", "answer": "#b565a7"}


def overlay(weights: Array, *, top: float) -> bytes:
    """*weights* (rows, columns) as a PNG of as many pixels: nothing is clear, *top* and more is the fullest."""
    levels = np.clip(np.asarray(weights, float) / top if top > 0 else 0 * weights, 0, 1) * LEVELS
    return _png(Image.fromarray(levels.round().astype(np.uint8)), HEAT, fullest=225)


def whole_map(weights: Array, spans: Sequence[tuple[str, int, int]]) -> bytes:
    """*weights* (t, t) as a PNG with a line where roles change, and a strip of their colours above and to the left.

    Attention LEAST is clear and 1 the fullest, logarithmically, whatever the map; one pixel is the mean of several
    positions where there are more than SIDE.
    """
    scale, drawn = _drawn(np.asarray(weights, float))
    levels = 1 - np.log(np.clip(drawn, LEAST, 1)) / math.log(LEAST)  # 0..1
    picture = Image.fromarray(np.pad((levels * LEVELS).round().astype(np.uint8), ((STRIP, 0), (STRIP, 0))))
    _edges(ImageDraw.Draw(picture), spans, scale=scale, end=len(levels) + STRIP)
    return _png(picture, INK, fullest=255)


def _drawn(weights: Array) -> tuple[float, Array]:
    """Pixels per position, and *weights* at that size."""
    length = len(weights)
    if length <= SIDE:
        times = max(1, SIDE // length)
        return times, weights.repeat(times, 0).repeat(times, 1)
    starts = np.linspace(0, length, SIDE, endpoint=False).astype(int)
    counts = np.diff([*starts, length])
    sums = np.add.reduceat(np.add.reduceat(weights, starts, 0), starts, 1)
    return SIDE / length, sums / np.outer(counts, counts)


def _edges(draw: ImageDraw.ImageDraw, spans: Sequence[tuple[str, int, int]], *, scale: float, end: int) -> None:
    for role, first, last in spans:
        colour = LEVELS + 1 + list(ROLES).index(role)
        start, stop = (STRIP + round(scale * place) for place in (first, last))
        stop = max(stop - 1, start)  # a role of less than a pixel has one
        draw.rectangle((start, 0, stop, STRIP - 2), fill=colour)
        draw.rectangle((0, start, STRIP - 2, stop), fill=colour)
        if first:
            draw.line((start, STRIP, start, end), fill=colour)
            draw.line((STRIP, start, end, start), fill=colour)


def _png(picture: Image.Image, colour: tuple[int, int, int], *, fullest: int) -> bytes:
    roles = [tuple(bytes.fromhex(told[1:])) for told in ROLES.values()]
    picture.putpalette([number for entry in (*[colour] * (LEVELS + 1), *roles) for number in entry])
    opacity = [round(fullest * level / LEVELS) for level in range(LEVELS + 1)] + [255] * len(roles)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True, transparency=bytes(opacity))
    return file.getvalue()
