"""Edits that come and go: editors put around the decoder layers of a model as it is, adapter and all, and taken off.

Where a method of PEFT is trained to stay, these are tried on a finished run: the run's own modules, edited ones
included, are wrapped by `EditedModule` for the length of a block and are then as before. An edit acts behind the run's
own edit of the same layer. It starts at the identity, so that it changes nothing, to the bit, before it is trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from steering.arms import Schedule, steered_layers
from steering.methods.edited import EditedModule, Site
from steering.methods.editor import Editor
from steering.methods.selectors import Selector
from steering.methods.sight import Sight
from steering.methods.sites import decoder_layers, text_config
from steering.model.composed import ComposedModel

NAME = "default"


@contextmanager
def edited(
    model: ComposedModel, selector: Selector, *, rank: int, layers: Schedule | Sequence[int], seed: int
) -> Iterator[nn.ModuleList]:
    """Within the block the outputs of *layers* are edited where *selector* says; gives their editors, by layer.

    The starting values follow from *seed*; torch's own generator is left as it was.
    """
    decoder = decoder_layers(model.language_model)
    chosen = steered_layers(layers, len(decoder))
    before = {number: decoder[number] for number in chosen}
    width: int = text_config(model.language_model).hidden_size
    editors = _editors(len(chosen), width, rank, seed).to(model.device)
    sight = Sight(model.board, selector)
    wrapped: list[EditedModule] = []
    try:
        for number, editor in zip(chosen, editors, strict=True):
            wrapped.append(EditedModule(before[number]))
            site = Site(f"layers.{number}", "control", width, rank, sight, layer=number)
            wrapped[-1].add(NAME, {site.name: editor}, [site])  # type: ignore[dict-item]
            decoder[number] = wrapped[-1]
        yield editors
    finally:
        for number, module in before.items():
            decoder[number] = module
        for wrapper in wrapped:
            wrapper.release()
        sight.close()


def _editors(count: int, width: int, rank: int, seed: int) -> nn.ModuleList:
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        return nn.ModuleList(Editor(width, rank, identity_start=True) for _ in range(count))
    finally:
        torch.set_rng_state(before)
