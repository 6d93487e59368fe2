"""Pictures that a person brings, opened with care, and those of a world's test set with the questions about them.

A person's picture is turned upright as its EXIF says, which the pipeline never does to a data set's: what is shown
to the model is what the person sees.
"""

from __future__ import annotations

import io
import itertools
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from steering import layout
from steering.data.shards import UNREADABLE
from steering.data.shards.archive import as_rgb
from steering.data.shards.index import INDEX
from steering.errors import DataError, SteeringError
from steering.evaluate.asking import Asked
from steering.plan import Plan

MOST_BYTES = 12_000_000
MOST_PIXELS = 50_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""Pillow's decoders that are tried; its others start programs or read more than pixels."""

SHOWN, PER_PICTURE = 24, 3


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as RGB by the name it is told by; two are the same only if they are one object."""

    name: str
    image: Image.Image


@dataclass(frozen=True)
class Suggestion:
    """A picture of the test set, "<dataset>/<name>", and questions that its benchmark asks."""

    picture: str
    benchmark: str
    questions: tuple[str, ...]


def opened(name: str, content: bytes) -> Picture:
    """A person's picture. Raises DataError for what is too large or no picture."""
    if len(content) > MOST_BYTES:
        raise DataError(f"{name}: {len(content):,} bytes; allowed up to {MOST_BYTES:,}")
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise DataError(f"{name}: {image.width:,} x {image.height:,} pixels; allowed {MOST_PIXELS:,} in all")
            return Picture(name, as_rgb(ImageOps.exif_transpose(image)))
    except Image.DecompressionBombError as fault:  # far more, which Pillow tells before it is asked
        raise DataError(f"{name}: too many pixels; allowed {MOST_PIXELS:,} in all") from fault
    except UNREADABLE as fault:
        raise DataError(f"{name}: no picture; allowed {', '.join(FORMATS)}") from fault


class WorldPictures:
    """The pictures of *world*'s data sets on this disk."""

    def __init__(self, plan: Plan, world: str):
        self.plan, self.world, self._asked = plan, world, Asked(world)

    def file(self, path: str) -> Picture:
        """The picture in the file *path*, or the one that a data set calls so ("<dataset>/<name>")."""
        file = Path(path).expanduser()
        if file.is_file():
            with file.open("rb") as content:
                return opened(path, content.read(MOST_BYTES + 1))
        return self.own(path)

    def own(self, picture: str) -> Picture:
        dataset, _, name = picture.partition("/")
        there = dataset.isidentifier() and (layout.dataset(self.world, dataset) / INDEX).is_file()
        if not there or name not in self._asked.archive(dataset):
            allowed = f"allowed a picture file, or a picture of {self.world} as /pictures names it"
            raise DataError(f"{picture}: not there; {allowed}")
        return Picture(picture, self._asked.archive(dataset).open(name))

    def suggested(self, *, count: int = SHOWN) -> list[Suggestion]:
        """At most *count* pictures of the test sets, benchmark by benchmark in turns; none where no data is here."""
        rows = [list(self._of(name, told, count)) for name, told in self._benchmarks().items()]
        found: dict[str, Suggestion] = {}
        for suggestion in filter(None, itertools.chain.from_iterable(itertools.zip_longest(*rows))):
            found.setdefault(self._identity(suggestion.picture), suggestion)
        return list(found.values())[:count]

    def _identity(self, picture: str) -> str:
        """The same for one picture under the names that several benchmarks have for it."""
        dataset, _, name = picture.partition("/")
        return self._asked.archive(dataset).identity(name)

    def _benchmarks(self) -> Mapping[str, Any]:
        """Those of params.yaml whose questions are here."""
        worlds = self.plan.params.worlds
        told = worlds[self.world].benchmarks if self.world in worlds else {}
        rows = {name: benchmark.model_dump(mode="json") for name, benchmark in told.items()}
        return {
            name: row
            for name, row in rows.items()
            if (layout.dataset(self.world, row["dataset"]) / row["folder"]).is_dir()
        }

    def _of(self, name: str, benchmark: Mapping[str, Any], count: int) -> Iterator[Suggestion]:
        questions: dict[str, list[str]] = {}
        share = {"questions": count * PER_PICTURE, "per_picture": PER_PICTURE}
        try:
            drawn = self._asked.draw(benchmark, "test", share, seed=0)
        except (SteeringError, OSError):  # a data set that is not whole: there is less to suggest
            return
        for example in drawn:
            if picture := self._asked.picture(benchmark, example):
                questions.setdefault(picture, []).append(example.prompt)
        yield from (Suggestion(picture, name, tuple(prompts)) for picture, prompts in questions.items())
