"""What the page asks and what it is told: JSON in and out, pictures by numbers that only this process knows."""

from __future__ import annotations

import io
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from steering.chat.pictures import MOST_BYTES, Picture, WorldPictures, opened
from steering.chat.runs import Finished
from steering.chat.session import Session, nearest_strength
from steering.errors import DataError
from steering.methods.strength import REACH

KEPT = 12
"""Uploaded pictures that are remembered."""
MOST_STRENGTH = 2.0
SHOWN_SIDE = 768

NOTES = {
    "any": "",
    "on or off": "on or off only: on from 0.5",
    "on": "on or off only: on from 0.5, off is the base model itself",
    "nothing": "edits nothing: the same at every strength",
}


class Question(BaseModel):
    """What the page posts; nothing else is allowed in it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    run: Annotated[str, Field(max_length=300)]
    question: Annotated[str, Field(min_length=1, max_length=2_000)]
    strength: Annotated[float, Field(ge=0, le=MOST_STRENGTH)] = 1.0
    picture: Annotated[str, Field(max_length=64)] | None = None


class Answering:
    """The arms beside *run*, asked by a page."""

    def __init__(self, session: Session, pictures: WorldPictures, runs: Sequence[Finished], run: Finished):
        self.session, self.pictures, self.run = session, pictures, run
        self.arms = {other.name: other for other in runs if other.beside(run)}
        self._suggested = {str(number): suggestion for number, suggestion in enumerate(pictures.suggested())}
        self._uploads: OrderedDict[str, Picture] = OrderedDict()
        self._lock = threading.Lock()
        self._last: tuple[str, Picture] | None = None

    @cached_property
    def state(self) -> dict[str, Any]:
        """What the page needs to draw itself."""
        arms = [
            {"run": name, "arm": run.arm, "method": run.method, "note": NOTES[REACH[run.method]]}
            for name, run in self.arms.items()
        ]
        pictures = [
            {"id": key, "name": one.picture, "benchmark": one.benchmark, "questions": one.questions}
            for key, one in self._suggested.items()
        ]
        limits = {"most_bytes": MOST_BYTES, "most_strength": MOST_STRENGTH}
        return {"run": self.run.name, "arms": arms, "pictures": pictures, **limits}

    def keep(self, content: bytes) -> dict[str, Any]:
        """The number under which an uploaded picture may be asked about from now on."""
        picture, key = opened("upload", content), secrets.token_urlsafe(12)
        with self._lock:
            self._uploads[key] = picture
            while len(self._uploads) > KEPT:
                self._uploads.popitem(last=False)
        return {"id": key, "width": picture.image.width, "height": picture.image.height}

    def picture(self, key: str) -> Picture:
        """Raises DataError for a number that stands for nothing (any more)."""
        with self._lock:
            if key in self._uploads:
                return self._uploads[key]
            if key not in self._suggested:
                raise DataError("picture: no longer here; choose it again")
            if self._last is None or self._last[0] != key:  # one object, so that its features are computed once
                self._last = (key, self.pictures.own(self._suggested[key].picture))
            return self._last[1]

    def shown(self, key: str) -> bytes:
        """The picture as the model sees it, but for its size: a PNG."""
        if key in self._suggested:
            image = self.pictures.own(self._suggested[key].picture).image
        else:
            image = self.picture(key).image.copy()
        image.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
        image.save(file := io.BytesIO(), "PNG")
        return file.getvalue()

    def ask(self, posted: Mapping[str, Any]) -> dict[str, Any]:
        """An answer with where it looked. Raises SteeringError in words for the page."""
        asked = _read(posted)
        run = self.arms.get(asked.run)
        if run is None:
            raise DataError(f"run: {asked.run} is not among the arms here")
        picture, started = asked.picture and self.picture(asked.picture), time.monotonic()
        strength = nearest_strength(run, asked.strength)
        said = "".join(self.session.answer(run, picture or None, asked.question, strength=strength)).strip()
        told: dict[str, Any] = {"answer": said, "strength": strength, "seconds": round(time.monotonic() - started, 2)}
        if not picture:
            return told
        seen = self.session.overlay(run, picture, asked.question, said, strength=strength)
        layers = [[float(f"{weight:.4g}") for weight in row] for row in seen.layers]
        return told | {"attention": {"side": seen.side, "layers": layers}}


def _read(posted: Mapping[str, Any]) -> Question:
    try:
        return Question.model_validate(posted)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc'])) or 'question'}: {fault['msg']}" for fault in error.errors()]
        raise DataError("; ".join(faults)) from error
