"""Where things stand in the pictures of a data set whose files tell it: what each may be called, and its box.

The icons' scenes.json has a box for each cell that shows something; a question may call it by its kind, in the plural
too, or by its cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steering.data.embedded.scenes import CELLS, SCENE_PX
from steering.data.embedded.vocabulary import plural
from steering.manifest import read_json

Box = tuple[float, float, float, float]
SCENES = "scenes.json"


@dataclass(frozen=True)
class Thing:
    """What shows in a picture; box: left, top, right, bottom as fractions of the picture."""

    names: tuple[str, ...]
    box: Box


def things(folder: Path) -> dict[str, list[Thing]] | None:
    """Picture name -> the things in it; None where the data set in *folder* does not tell."""
    path = folder / SCENES
    if not path.exists():
        return None
    return {name: _things(scene["cells"], scene["boxes"]) for name, scene in read_json(path).items()}


def _things(kinds: Sequence[str | None], boxes: Sequence[Sequence[int] | None]) -> list[Thing]:
    return [
        Thing((kind, plural(kind), cell), _fractions(box))
        for kind, cell, box in zip(kinds, CELLS, boxes, strict=True)
        if kind and box
    ]


def _fractions(box: Sequence[int]) -> Box:
    left, top, right, bottom = (edge / SCENE_PX for edge in box)
    return left, top, right, bottom
