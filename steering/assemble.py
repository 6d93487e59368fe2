"""From a slice and files to live parts: language model, connector, vision encoder, conversations as samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from pydantic import TypeAdapter
from torch import Tensor, nn

from steering import layout
from steering.arms import Arm, Settings
from steering.data.collate import Sample
from steering.data.features import Features
from steering.data.shards import ImageArchive
from steering.data.templates import Scribe, Turn, template_named
from steering.errors import CheckpointError
from steering.job import check_outputs, contents
from steering.manifest import digest, read_json
from steering.methods.adapters import merged_adapter
from steering.model.composed import ComposedModel
from steering.model.connectors import Connector, build_connector, load_connector
from steering.model.encoders import VisionEncoder, load_encoder, overlay
from steering.model.language import load_language_model, load_tokenizer, words_of

Slice = Mapping[str, Any]

ENCODER = "encoder.safetensors"
"""In a run's folder: what the run trained of the vision encoder."""


def base_folder(content: Slice) -> Path:
    return layout.language_model(content["language_model"]["name"])


def base_hash(content: Slice) -> str:
    """Names the bytes an adapter belongs to: the language model's and, where there are any, those of the run it starts
    from and of the vision encoder that it edits.
    """
    language = contents(base_folder(content))
    if start := started(content):
        language = digest([language, contents(start)])
    if not getattr(arm(content), "vision_rank", 0):
        return language
    return digest([language, contents(layout.vision_encoder(content["vision_encoder"]["name"]))])


def language_model(content: Slice, *, attention: str | None = None) -> Any:
    """The frozen language model of the slice's world, with its own *attention* or this one.

    Raises DataError when its weights are damaged.
    """
    folder, told = base_folder(content), content["language_model"]
    check_outputs(folder, ["model.safetensors"])
    chosen = attention or told["attention"]
    model = load_language_model(folder, dtype=told["dtype"], attention=chosen, quantise=told.get("quantise"))
    start = started(content)
    return merged_adapter(model, start / "adapter", base_hash=contents(folder)) if start else model


def started(content: Slice) -> Path | None:
    """The tuned run that the slice's run starts from; None where that is a pretrained connector."""
    told = content.get("start")
    return layout.run(content["world"], told["data"], told["arm"], told["seed"]) if told else None


def fresh_connector(content: Slice, model: Any) -> Connector:
    """An untrained connector whose output has the scale of the word embeddings."""
    words = words_of(model)
    return build_connector(
        content["connector"],
        width=content["vision_encoder"]["width"],
        hidden=words.shape[1],
        scale=float(words.float().std()),
        settings=content.get("connector_settings"),
    )


def trained_connector(content: Slice, model: Any, folder: Path) -> Connector:
    check_outputs(folder, ["connector.safetensors"])
    return load_connector(fresh_connector(content, model), folder / "connector.safetensors")


def arm(content: Slice) -> Settings:
    return TypeAdapter(Arm).validate_python(content["settings"])


def live(content: Slice, run: Path | None = None) -> bool:
    """Whether the vision encoder has to run in the model: the world has no features computed once, the arm edits it,
    or the recipe trains some of it.

    A finished *run* says itself whether it did.
    """
    if content.get("features") == "live" or getattr(arm(content), "vision_rank", 0):
        return True
    return bool(content["recipe"].get("encoder_layers")) if run is None else _trained_encoder(run)


def pictures(content: Slice, datasets: Iterable[str]) -> dict[str, Path]:
    """What a job on *datasets* reads of their pictures: the features computed once, or the pictures themselves."""
    if content.get("features") == "live":
        return {name: layout.dataset(content["world"], name) for name in datasets}
    return {f"features_{name}": layout.features(content["world"], name) for name in datasets}


def _trained_encoder(run: Path) -> bool:
    contents(run)  # which tells of a missing manifest in plain words
    return ENCODER in read_json(run / "manifest.json")["outputs"]


def check_template(asked: str, run: Path) -> None:
    """Raises CheckpointError unless the run, whose manifest keeps what it was trained from, was taught in *asked*."""
    contents(run)
    taught = read_json(run / "manifest.json").get("slice", {}).get("template")
    if asked != taught:
        told = f"template: asked in {asked}, trained in {taught or 'none that it tells of'}"
        raise CheckpointError(f"{run / 'manifest.json'}: {told}; allowed the one that it was trained in")


def vision(content: Slice, run: Path | None = None) -> VisionEncoder:
    """The frozen vision encoder of the slice's world, with what *run* trained of it. DataError when damaged."""
    told = content["vision_encoder"]
    folder = layout.vision_encoder(told["name"])
    check_outputs(folder, ["model.safetensors"])
    encoder = load_encoder(told["kind"], told["config"], folder, parts=told.get("parts", ()))
    if run is not None and _trained_encoder(run):
        check_outputs(run, [ENCODER])
        overlay(encoder, run / ENCODER)
    return encoder


def scribe(content: Slice, template: str) -> Scribe:
    tokenizer = load_tokenizer(base_folder(content))
    return Scribe(tokenizer, template_named(template, tokenizer))


def samples(content: Slice, template: str, model: ComposedModel, *, independent: bool = True) -> Samples:
    """Samples of the slice's world as *model* reads them: of pixels where it has its vision encoder.

    independent: each turn is asked as if alone; else later ones stand behind those before them.
    """
    told = content["vision_encoder"]
    return Samples(
        content["world"],
        scribe(content, template),
        connector=model.connector,
        vision=model.vision,
        shape=(told["tokens"], told["width"]),
        independent=independent,
    )


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


class Samples:
    """Writes conversations of one world as samples: token ids by a scribe, pictures by name.

    A picture is its cached visual features (of *shape*), or its pixels where *vision* is given. *connector* says how
    many positions it takes; without one, as many as it has features.
    """

    def __init__(
        self,
        world: str,
        writer: Scribe,
        *,
        connector: Connector | None = None,
        vision: VisionEncoder | None = None,
        shape: tuple[int, int] = (1, 1),
        independent: bool = True,
    ):
        self.world, self.scribe, self._shape, self._independent = world, writer, shape, independent
        self._connector, self._vision = connector, vision
        self._archive = cache(lambda dataset: ImageArchive(layout.dataset(world, dataset)))
        self._features = cache(lambda dataset: Features(layout.features(world, dataset)))

    def sample(self, picture: str | None, turns: Iterable[tuple[str, str | None]]) -> Sample:
        """*picture* is "<dataset>/<name>" or None; an answer of None is to be predicted."""
        written = tuple(
            self.scribe.turn(asked, told, pictured=picture is not None, later=number > 0 and not self._independent)
            for number, (asked, told) in enumerate(turns)
        )
        return self._laid_out(picture, written)

    def replay(self, picture: str | None, question: str, said: str) -> Sample:
        """A question with what a model answered to it, were it nothing but the closing."""
        return self._laid_out(picture, (self.scribe.replay(question, said, pictured=picture is not None),))

    def _laid_out(self, picture: str | None, written: tuple[Turn, ...]) -> Sample:
        if picture is None:
            return Sample(self.scribe.text_opening, written)
        if self._vision is not None:
            places = self._places(self._vision.tokens)
            return Sample(self.scribe.opening, written, pixels=self.pixels(picture), visual_tokens=places)
        features = self.features(picture)
        return Sample(self.scribe.opening, written, features, visual_tokens=self._places(len(features)))

    def _places(self, tokens: int) -> int:
        return tokens if self._connector is None else self._connector.tokens(tokens)

    def blank(self) -> Sample:
        """An empty picture and a question nobody answers: nothing is learnt from it."""
        asked = (self.scribe.turn("?"),)
        if self._vision is not None:
            pixels = self._vision.preprocess(Image.new("RGB", (8, 8)))
            return Sample(self.scribe.opening, asked, pixels=pixels, visual_tokens=self._places(self._vision.tokens))
        tokens, _ = self._shape
        features = torch.zeros(self._shape, dtype=torch.float16)
        return Sample(self.scribe.opening, asked, features, visual_tokens=self._places(tokens))

    def places(self, picture: str) -> int | None:
        """Positions *picture* takes; None where its archive or its features do not hold it. Nothing is read for it."""
        dataset, _, name = picture.partition("/")
        archive = self._archive(dataset)
        if name not in archive:
            return None
        if self._vision is not None:
            return self._places(self._vision.tokens)
        features = self._features(dataset)
        return self._places(features.tokens) if archive.identity(name) in features else None

    def features(self, picture: str) -> Tensor:
        dataset, name = picture.split("/", 1)
        return self._features(dataset).of(self._archive(dataset).identity(name))

    def pixels(self, picture: str) -> Tensor:
        """(3, s, s) as the vision encoder reads them."""
        dataset, name = picture.split("/", 1)
        assert self._vision is not None
        return self._vision.preprocess(self._archive(dataset).open(name))
