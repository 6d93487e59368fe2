"""Finished runs held ready to answer: one base model, one vision encoder, and the adapters that were asked for.

A question is asked alone, as benchmarks ask it: what was said before is not remembered. The model computes one
answer at a time, whoever asks. Features of a picture are computed as those of a data set are (half precision), and
kept while the picture is being asked about.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from steering import assemble
from steering.chat.overlay import Overlay, overlay
from steering.chat.pictures import Picture
from steering.chat.runs import Finished
from steering.data.collate import Batch, Sample, collate
from steering.data.templates import Turn
from steering.errors import DataError
from steering.evaluate.generate import stream
from steering.evaluate.trained import base_model, trained
from steering.methods.strength import at_strength, fault_of
from steering.model.composed import ComposedModel
from steering.model.device import device
from steering.model.encoders import VisionEncoder
from steering.model.limits import Limits
from steering.model.sharing import sharing

HELD = 8
"""Runs whose adapters are kept in memory; the one asked longest ago gives way."""
LONGEST = 64
UNFINISHED = "\ufffd"
"""What a tokenizer decodes of a character whose last bytes are still to come."""


@dataclass
class Ready:
    """A run that can answer. bare: full fine-tuning's other end, the base model behind the run's connector."""

    finished: Finished
    model: ComposedModel
    samples: assemble.Samples
    bare: ComposedModel | None = None


class Session:
    """Answers of runs to questions about pictures; at most *longest* tokens each."""

    def __init__(self, *, longest: int = LONGEST):
        self.longest = longest
        self.lock = threading.Lock()
        self._bases: dict[str, Any] = {}
        self._encoders: dict[str, VisionEncoder] = {}
        self._ready: OrderedDict[str, Ready] = OrderedDict()
        self._seen: tuple[Picture, str, Tensor] | None = None

    def load(self, finished: Finished) -> None:
        """Holds the run's model ready, so that faults in its files show before anything is asked."""
        with self.lock:
            self._made_ready(finished)

    def answer(
        self, finished: Finished, picture: Picture | None, question: str, *, strength: float = 1.0
    ) -> Generator[str, None, None]:
        """The answer's text, piece by piece as it is found. SteeringError for what cannot be asked."""
        with self.lock:
            ready = self._made_ready(finished)
            batch = self._batch(ready, picture, ready.samples.scribe.turn(question, pictured=picture is not None))
            yield from self._said(ready, batch, strength)

    def overlay(
        self, finished: Finished, picture: Picture, question: str, said: str, *, strength: float = 1.0
    ) -> Overlay:
        """Where the run looked when it *said* that."""
        with self.lock:
            ready = self._made_ready(finished)
            batch = self._batch(ready, picture, ready.samples.scribe.replay(question, said))
            told = finished.content["vision_encoder"]
            model, method, strength = _acting(ready, strength)
            with at_strength(model, method, strength):
                return overlay(model, batch, cells=told["tokens"])

    def _said(self, ready: Ready, batch: Batch, strength: float) -> Generator[str, None, None]:
        model, method, strength = _acting(ready, strength)
        scribe, ids, told = ready.samples.scribe, list[int](), ""
        with at_strength(model, method, strength):
            for token in stream(model, batch, max_new_tokens=self.longest, closing=scribe.closing[0]):
                ids.append(token)
                text = scribe.read(ids)
                if not text.endswith(UNFINISHED) and text.startswith(told):
                    yield text[len(told) :]
                    told = text
        yield scribe.read(ids)[len(told) :]

    def _made_ready(self, finished: Finished) -> Ready:
        if finished.name not in self._ready:
            self._ready[finished.name] = self._loaded(finished)
        self._ready.move_to_end(finished.name)
        while len(self._ready) > HELD:
            self._ready.popitem(last=False)
        return self._ready[finished.name]

    def _loaded(self, finished: Finished) -> Ready:
        content, name = finished.content, finished.content["language_model"]["name"]
        if name not in self._bases:
            self._bases[name] = base_model(content)
        whole = finished.method == "full"  # which would write into the weights that all share
        model, samples = trained(content, finished.folder, base=None if whole else sharing(self._bases[name]))
        bare = ComposedModel(model.connector, self._bases[name], model.vision).to(device()).eval() if whole else None
        return Ready(finished, model, samples, bare)

    def _batch(self, ready: Ready, picture: Picture | None, turn: Turn) -> Batch:
        scribe, model = ready.samples.scribe, ready.model
        if picture is None:
            sample = Sample(scribe.text_opening, (turn,))
        elif model.vision is not None:
            places = model.connector.tokens(model.vision.tokens)
            pixels = model.vision.preprocess(picture.image)
            sample = Sample(scribe.opening, (turn,), pixels=pixels, visual_tokens=places)
        else:
            features = self._features(ready.finished.content, picture)
            places = model.connector.tokens(len(features))
            sample = Sample(scribe.opening, (turn,), features, visual_tokens=places)
        self._fits(sample, model)
        return collate([sample]).to(model.device)

    def _fits(self, sample: Sample, model: ComposedModel) -> None:
        (turn,), limit = sample.turns, Limits.of(model.config.get_text_config()).alone
        length = len(sample.opening) + sample.places + len(turn.question) + max(self.longest, len(turn.answer))
        if limit is not None and length > limit:
            raise DataError(
                f"question: {length:,} positions with its picture and answer; allowed {limit:,}, shorten it"
            )

    @torch.inference_mode()
    def _features(self, content: assemble.Slice, picture: Picture) -> Tensor:
        name = content["vision_encoder"]["name"]
        if self._seen is None or self._seen[:2] != (picture, name):
            if name not in self._encoders:
                self._encoders[name] = assemble.vision(content).to(device())
            encoder = self._encoders[name]
            features = encoder(encoder.preprocess(picture.image).unsqueeze(0).to(device()))[0]  # (v, c)
            self._seen = (picture, name, features.half().cpu())
        return self._seen[2]


def _acting(ready: Ready, strength: float) -> tuple[ComposedModel, str, float]:
    """The model that acts with *strength*, the method in it, and the strength that this is of that method."""
    if strength == 0 and ready.bare is not None:
        return ready.bare, "none", 1.0
    return ready.model, ready.finished.method, strength


def told_fault(finished: Finished, strength: float) -> str | None:
    """Why the run cannot be asked with *strength*; 0 of full fine-tuning is the base model, which is at hand."""
    if finished.method == "full" and 0 <= strength < float("inf"):
        return None if strength in (0, 1) else f"strength: {strength:g}; allowed 0 or 1, for full is on or off"
    return fault_of(finished.method, strength)


def nearest_strength(finished: Finished, strength: float) -> float:
    """The strength that the run has and that is closest."""
    return strength if told_fault(finished, strength) is None else float(strength >= 0.5)
