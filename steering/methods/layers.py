"""The sites of edits on the decoder layers of a model, and the board on which its marks are shown."""

from __future__ import annotations

from typing import Any

from torch import nn

from steering.arms import steered_layers
from steering.methods.edited import Site
from steering.methods.sight import Sight
from steering.methods.sites import EditConfig, decoder_layers, paths_in, text_config
from steering.model.composed import ComposedModel
from steering.model.marks import MarkBoard, board_of


def mark_board(model: nn.Module) -> MarkBoard:
    """The board on which the marks of *model* are shown."""
    return model.board if isinstance(model, ComposedModel) else board_of(model)


def decoder_sites(config: EditConfig, model: Any, sights: dict[str, tuple[int, Sight]], **options: Any) -> list[Site]:
    """Sites on the scheduled decoder layers of *model*, in every layer those of *sights*: name -> (rank, sight)."""
    language = model.language_model if isinstance(model, ComposedModel) else model
    layers = decoder_layers(language)
    chosen = steered_layers(config.layers, len(layers))
    width: int = text_config(language).hidden_size
    paths = paths_in(model, (layers[number] for number in chosen))
    return [
        Site(path, name, width, rank, sight, layer=number, **options)
        for number, path in zip(chosen, paths, strict=True)
        for name, (rank, sight) in sights.items()
    ]
