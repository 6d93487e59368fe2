"""Where an answer looks: the attention of the positions that produce it to each visual token, layer by layer.

    overlay_l(j) = mean over heads and answer positions i of the attention from i to visual token j

The closing token counts as part of the answer. Shapes: l layers, v visual tokens, t positions; one sample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from steering.analyse.attention import answer_queries, capture
from steering.data.collate import Batch
from steering.model.composed import ComposedModel


@dataclass(frozen=True)
class Overlay:
    """layers: l rows of v numbers, the tokens row by row of a square of *side* x *side*; side None: not on a grid."""

    layers: list[list[float]]
    side: int | None


@torch.inference_mode()
def overlay(model: ComposedModel, batch: Batch, *, cells: int) -> Overlay:
    """Of *batch*, one sample with a picture and an answer; *cells*: tokens of the vision encoder, one a cell.

    A connector that gives another number of tokens than the encoder has mixed the cells: they have no place.
    """
    marks = batch.marks
    places = marks.visual[0].nonzero().squeeze(1)  # (v,)
    columns = {str(at): torch.zeros_like(marks.visual) for at in range(len(places))}
    for number, place in enumerate(places):
        columns[str(number)][0, place] = True
    with capture(model.language_model, queries=answer_queries(marks), columns=columns) as recorder:
        model.hidden(batch, use_cache=False)
    mass = torch.stack([recorder.mass()[name][:, 0] for name in columns], dim=1)  # (l, v)
    side = math.isqrt(cells)
    return Overlay(mass.float().cpu().tolist(), side if len(places) == cells == side * side else None)
