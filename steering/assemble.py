"""From a slice and files to live parts: language model, connector, conversations as samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from torch import nn

from steering import layout
from steering.data.collate import Sample
from steering.data.features import Features
from steering.data.shards import ImageArchive
from steering.data.templates import Scribe, template_named
from steering.job import check_outputs, contents
from steering.model.connectors import Connector, build_connector, load_connector
from steering.model.language import load_language_model, load_tokenizer

Slice = Mapping[str, Any]


def base_folder(content: Slice) -> Path:
    return layout.language_model(content["language_model"]["name"])


def base_hash(content: Slice) -> str:
    """Names the language model's bytes; an adapter belongs to exactly one."""
    return contents(base_folder(content))


def language_model(content: Slice) -> Any:
    """The frozen language model of the slice's world. Raises DataError when its weights are damaged."""
    folder, told = base_folder(content), content["language_model"]
    check_outputs(folder, ["model.safetensors"])
    model = load_language_model(folder, dtype=told["dtype"])
    model.set_attn_implementation(told["attention"])
    return model


def fresh_connector(content: Slice, model: Any) -> Connector:
    """An untrained connector whose output has the scale of the word embeddings."""
    words = model.get_input_embeddings().weight
    return build_connector(
        content["connector"],
        width=content["vision_encoder"]["width"],
        hidden=words.shape[1],
        scale=float(words.float().std()),
    )


def trained_connector(content: Slice, model: Any, folder: Path) -> Connector:
    check_outputs(folder, ["connector.safetensors"])
    return load_connector(fresh_connector(content, model), folder / "connector.safetensors")


def scribe(content: Slice, template: str) -> Scribe:
    return Scribe(load_tokenizer(base_folder(content)), template_named(template))


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


class Samples:
    """Writes conversations of one world as samples: token ids by a scribe, visual features by picture name."""

    def __init__(self, world: str, writer: Scribe):
        self.world, self.scribe = world, writer
        self._archive = cache(lambda dataset: ImageArchive(layout.dataset(world, dataset)))
        self._features = cache(lambda dataset: Features(layout.features(world, dataset)))

    def sample(self, picture: str | None, turns: Iterable[tuple[str, str | None]]) -> Sample:
        """*picture* is "<dataset>/<name>" or None; an answer of None is to be predicted."""
        written = tuple(self.scribe.turn(asked, told, pictured=picture is not None) for asked, told in turns)
        return Sample(self.scribe.opening, written, None if picture is None else self.features(picture))

    def features(self, picture: str) -> Any:
        dataset, name = picture.split("/", 1)
        return self._features(dataset).of(self._archive(dataset).identity(name))
