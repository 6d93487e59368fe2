"""Icon scenes: which kinds stand in which of the four cells, and the 128 x 128 picture that shows them.

A scene holds 1 to 4 copies of a target kind; each other cell is filled with probability 0.7 by a further kind, no two
alike. (target, copies) pairs come in shuffled rounds, so every kind is a target equally often with every count.
Other kinds are drawn by category first (uniform), then within it: the first half of a category twice as often as
the second, so that "popular" means something.
"""

from __future__ import annotations

import io
import random
from collections.abc import Mapping
from dataclasses import dataclass

import resvg_py
from PIL import Image

from steering.data.embedded.vocabulary import CATEGORIES, KINDS

CELLS = ("top left", "top right", "bottom left", "bottom right")
CELL_PX = 64
SCENE_PX = 2 * CELL_PX
ICON_PX = (46, 49, 52, 55, 58, 61)  # 72 to 95 % of a cell
FILL_PROBABILITY = 0.7
COUNTS = (1, 2, 3, 4)
PASTELS = ("#ffffff", "#ffffff", "#fde2e4", "#e2ece9", "#dfe7fd", "#fff1e6", "#f0efeb", "#e8dff5", "#fcf6bd", "#d7f9f8")

Sprites = Mapping[tuple[str, int], Image.Image]


@dataclass(frozen=True)
class Scene:
    """name: picture name in the archive; cells: the kind or None in the order of CELLS; copies of the target."""

    name: str
    split: str
    target: str
    copies: int
    cells: tuple[str | None, ...]

    @property
    def present(self) -> tuple[str, ...]:
        """The kinds in the picture, each once, in the order of KINDS."""
        return tuple(kind for kind in KINDS if kind in self.cells)


def plan_scenes(split: str, count: int, *, seed: int) -> list[Scene]:
    """*count* scenes of a split; the same for the same arguments."""
    rng = random.Random(f"{seed}/plan/{split}")
    pairs: list[tuple[str, int]] = []
    while len(pairs) < count:
        one_round = [(kind, copies) for kind in KINDS for copies in COUNTS]
        rng.shuffle(one_round)
        pairs += one_round
    return [_plan(f"{split}/{index:05d}.png", pair, rng=rng) for index, pair in enumerate(pairs[:count])]


def _plan(name: str, pair: tuple[str, int], *, rng: random.Random) -> Scene:
    target, copies = pair
    cells: list[str | None] = [None] * len(CELLS)
    order = rng.sample(range(len(CELLS)), len(CELLS))
    for cell in order[:copies]:
        cells[cell] = target
    for cell in order[copies:]:
        if rng.random() < FILL_PROBABILITY:
            cells[cell] = _other_kind(cells, rng)
    return Scene(name, name.split("/")[0], target, copies, tuple(cells))


def _other_kind(taken: list[str | None], rng: random.Random) -> str:
    kinds = CATEGORIES[rng.choice(list(CATEGORIES))]
    free = [
        kind
        for place, kind in enumerate(kinds)
        for _ in range(2 if place < len(kinds) // 2 else 1)
        if kind not in taken
    ]
    return rng.choice(free)


def rasterise(svg: str, *, width: int) -> Image.Image:
    """An RGBA picture of *svg*, *width* pixels wide."""
    with Image.open(io.BytesIO(resvg_py.svg_to_bytes(svg_string=svg, width=width, skip_system_fonts=True))) as picture:
        return picture.convert("RGBA")


def make_sprites(svgs: Mapping[str, str]) -> dict[tuple[str, int], Image.Image]:
    """(kind, pixels) -> RGBA icon, for every kind of *svgs* and every size of ICON_PX."""
    return {(kind, size): rasterise(svg, width=size) for kind, svg in svgs.items() for size in ICON_PX}


def draw(scene: Scene, sprites: Sprites, *, seed: int) -> tuple[Image.Image, list[list[int] | None]]:
    """The picture of *scene* and the box (left, top, right, bottom) in pixels of what shows in each cell."""
    rng = random.Random(f"{seed}/draw/{scene.name}")
    picture = Image.new("RGB", (SCENE_PX, SCENE_PX), rng.choice(PASTELS))
    boxes: list[list[int] | None] = [None] * len(CELLS)
    for cell, kind in enumerate(scene.cells):
        if kind:
            boxes[cell] = _paste(picture, sprites[kind, rng.choice(ICON_PX)], cell=cell, rng=rng)
    return picture, boxes


def _paste(picture: Image.Image, sprite: Image.Image, *, cell: int, rng: random.Random) -> list[int]:
    """Put *sprite* somewhere in its cell; the box of what shows."""
    left = cell % 2 * CELL_PX + rng.randint(0, CELL_PX - sprite.width)
    top = cell // 2 * CELL_PX + rng.randint(0, CELL_PX - sprite.height)
    picture.paste(sprite, (left, top), sprite)
    x0, y0, x1, y1 = sprite.getbbox(alpha_only=True) or (0, 0, *sprite.size)
    return [left + x0, top + y0, left + x1, top + y1]


def png(picture: Image.Image) -> bytes:
    """*picture* as quickly compressed PNG bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=2)
    return buffer.getvalue()
