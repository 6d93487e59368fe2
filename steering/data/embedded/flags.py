"""Flag pictures (OpenMoji, 128 x 128) and which named colours cover which share of a flag.

OpenMoji outlines every flag in black. The outline is cut away and the flag put on grey, so that black and white are in
a picture only where they are in the flag; grey is never asked for.

A pixel has the name of the colour of OpenMoji's palette that it matches, light and dark shades taken together; the
blended pixels of an edge match none.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from steering.data.embedded.scenes import rasterise

PICTURE_PX = 128
DRAWN_PX = 148  # OpenMoji's margin falls outside the picture
OUTLINE_PX = 5  # the outline and its blended inner edge
GROUND = "#bebebe"
MATCH = 12  # a pixel matches a shade when no channel is further off, of 255
SHADES = {
    "black": ("#000000", "#3f3f3f"),
    "white": ("#ffffff",),
    "red": ("#d22f27", "#ea5a47", "#781e32"),
    "blue": ("#1e50a0", "#61b2e4", "#92d3f5"),
    "green": ("#5c9e31", "#186648", "#b1cc33"),
    "yellow": ("#f1b31c", "#fcea2b", "#f4aa41"),
    "orange": ("#e27022",),
    "brown": ("#a57939", "#6a462f"),
    "grey": ("#9b9b9a", "#d0cfce"),
    "pink": ("#ffa7c0",),
    "purple": ("#8967aa",),
}
ASKED = ("black", "white", "red", "blue", "green", "yellow", "orange")
ALIKE = {
    "orange": ("red", "yellow", "brown"),
    "red": ("orange", "pink"),
    "yellow": ("orange", "brown"),
    "blue": ("purple",),
}
PRESENT_SHARE = 0.06  # a right answer covers at least this
ABSENT_SHARE = 0.01  # a wrong one less than this
WRONG = 3

Shares = Mapping[str, float]


def draw_flag(svg: str) -> Image.Image:
    """The RGBA flag of *svg* without its outline, at the size it has in a picture."""
    drawn = rasterise(svg, width=DRAWN_PX)
    left, top, right, bottom = drawn.getbbox(alpha_only=True) or (0, 0, *drawn.size)
    return drawn.crop((left + OUTLINE_PX, top + OUTLINE_PX, right - OUTLINE_PX, bottom - OUTLINE_PX))


def flag_picture(flag: Image.Image) -> Image.Image:
    """The RGBA *flag* in the middle of an RGB picture of PICTURE_PX."""
    picture = Image.new("RGB", (PICTURE_PX, PICTURE_PX), GROUND)
    picture.paste(flag, ((PICTURE_PX - flag.width) // 2, (PICTURE_PX - flag.height) // 2), flag)
    return picture


def colour_shares(flag: Image.Image) -> dict[str, float]:
    """Colour name -> share (0 to 1) of the pixels of the RGBA *flag* that have a named colour."""
    pixels = np.asarray(flag, dtype=np.int64).reshape(-1, 4)  # (pixels, rgba)
    opaque = pixels[pixels[:, 3] == 255, :3]
    names = [name for name, shades in SHADES.items() for _ in shades]
    palette = np.array([[int(s[i : i + 2], 16) for i in (1, 3, 5)] for shades in SHADES.values() for s in shades])
    matches = (np.abs(opaque[:, None, :] - palette) <= MATCH).all(-1)  # (opaque, shades)
    counts: Counter[str] = Counter()
    for name, count in zip(names, matches.sum(0).tolist(), strict=True):
        counts[name] += count
    return {name: counts[name] / max(1, matches.sum()) for name in SHADES}


class ColourTally:
    """Keeps each colour right about a third as often as it is wrong, over the questions of one kind and split."""

    def __init__(self, rng: random.Random):
        self._rng = rng
        self._owed: Counter[str] = Counter()

    def rarest_right(self, names: Sequence[str]) -> str:
        """The colour of *names* that has been right too seldom."""
        return min(names, key=lambda name: (self._owed[name], self._rng.random()))

    def choose(self, right: str, candidates: Sequence[str]) -> tuple[str, list[str]]:
        """*right* and the three wrong colours of *candidates* that have been wrong too seldom; booked."""
        wrong = sorted(candidates, key=lambda name: (-self._owed[name], self._rng.random()))[:WRONG]
        self._owed[right] += WRONG
        self._owed.subtract(wrong)
        return right, wrong


def ask_present(tally: ColourTally, shares: Shares) -> list[tuple[str, list[str]]]:
    """A colour of the flag and three that are not in it, as often as asked; nothing where no three are absent."""
    inside = [name for name in ASKED if shares[name] >= PRESENT_SHARE]
    absent = _absent(shares)
    if not inside or len(absent) < WRONG:
        return []
    return [tally.choose(tally.rarest_right(inside), absent)]


def ask_largest(tally: ColourTally, shares: Shares) -> list[tuple[str, list[str]]]:
    """The colour that covers most and three that cover at most half as much; nothing where that is in doubt."""
    right = max(shares, key=lambda name: shares[name])
    if right not in ASKED or any(shares[right] / 2 < share for name, share in shares.items() if name != right):
        return []
    smaller = [name for name in ASKED if name != right and shares[name] >= ABSENT_SHARE]
    candidates = [*smaller, *_absent(shares)]
    return [tally.choose(right, candidates)] if len(candidates) >= WRONG else []


def _absent(shares: Shares) -> list[str]:
    """The colours that could not be seen in the flag, not even by mistaking one for another."""
    return [name for name in ASKED if all(shares[other] < ABSENT_SHARE for other in (name, *ALIKE.get(name, ())))]
