"""Whole attention maps of chosen layers (MoReS paper, Fig. 8), heads averaged, and who stands where in them.

    map_l[i, j] = mean over heads of the attention that position i pays to position j in layer l

The model runs with fused attention; of each chosen layer the rows are computed again, a block of them at a time
(steering.analyse.capture), so memory is O(t x block) and the maps that are kept. float16 holds a weight to 0.05 %.

Shapes: b samples, t positions, h heads, a answer tokens, v visual tokens.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from itertools import groupby

import torch
from torch import Tensor

from steering.analyse.capture import HELD, Scores, View, full, read_by
from steering.data.collate import Batch
from steering.errors import DataError
from steering.model.composed import ComposedModel
from steering.model.marks import Marks

Span = tuple[str, int, int]
"""A role, and the positions that have it: from the first, up to but without the last."""


class MapReader:
    """The maps of *layers*, counted from 0, of a pass over *length* positions: (b, t, t) float16, on the CPU.

    The row of a padded position is 0 throughout.
    """

    def __init__(self, layers: Collection[int], *, length: int):
        self.layers, self.length = set(layers), length
        self.maps: dict[int, Tensor] = {}

    def record(self, layer: int, scores: Scores) -> None:
        if layer not in self.layers:
            return
        scores = full(scores, self.length)
        samples, heads = scores.query.shape[:2]
        found = torch.empty(samples, self.length, self.length, dtype=torch.float16)
        places = torch.arange(self.length, device=scores.query.device)
        for block in places.split(max(1, HELD // (samples * heads * self.length))):
            rows = block.expand(samples, -1)
            view = View.of(scores.mask, rows, length=self.length)
            weights = scores.weights(rows, view).mean(1) * view.visible.any(-1, keepdim=True)  # (b, q, t)
            found[:, block.cpu()] = weights.half().cpu()
        self.maps[layer] = found


@torch.no_grad()
def attention_maps(model: ComposedModel, batch: Batch, layers: Collection[int]) -> dict[int, Tensor]:
    """{layer: (b, t, t) float16 on the CPU} of *layers*, counted from 1; each row of a real position sums to 1.

    Raises DataError for a layer that the model does not have.
    """
    depth = model.config.num_hidden_layers
    if wrong := sorted(layer for layer in layers if not 1 <= layer <= depth):
        raise DataError(f"maps: layer {wrong[0]} of a model of {depth}; allowed 1..{depth}")
    reader = MapReader({layer - 1 for layer in layers}, length=batch.input_ids.shape[1])
    with read_by(model.language_model, reader):
        model.hidden(batch, use_cache=False)
    return {layer + 1: found for layer, found in sorted(reader.maps.items())}


def spans(marks: Marks, *, before: int, after: int) -> list[Span]:
    """Who stands where in a batch of one sample of one turn: visual, template, prompt and answer, in their order.

    before, after: how many of its prompt positions, at their start and at their end, are the template's alone.
    """
    prompt = marks.prompt[0].nonzero().flatten().tolist()
    template = {*prompt[:before], *prompt[len(prompt) - after :]}
    roles = [
        "visual" if visual else "answer" if answer else "template" if place in template else "prompt"
        for place, (visual, answer) in enumerate(zip(marks.visual[0].tolist(), marks.answer[0].tolist(), strict=True))
    ]
    runs = [(role, [place for place, _ in run]) for role, run in groupby(enumerate(roles), key=lambda at: at[1])]
    return [(role, places[0], places[-1] + 1) for role, places in runs]


def grid_of(tokens: int, positions: int) -> tuple[int, int] | None:
    """Rows and columns of a picture of *tokens* that takes *positions*; None where a position is no patch of it."""
    side = math.isqrt(tokens)
    return (side, side) if side * side == tokens == positions else None
