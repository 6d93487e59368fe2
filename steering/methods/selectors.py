"""Which positions are edited: a token selector reads the marks of a batch and answers with flat positions.

Selection is by picture, in the order of its tokens, so any number of pictures of any length and any padding side
are alike. The papers' "1 %" is the first 4 and last 5 visual tokens of each picture; every other ratio takes
evenly spaced ones.

Shapes: b samples, t positions, v visual positions in the batch, n selected positions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from steering.arms import PAPER_RATIO
from steering.errors import DataError
from steering.model.marks import MarkBoard, Marks


@dataclass(frozen=True)
class VisualSelector:
    """token_ratio of the visual tokens of each picture; PAPER_RATIO means the `first` and `last` ones."""

    token_ratio: float = PAPER_RATIO
    first: int = 4
    last: int = 5

    def __call__(self, picture: Tensor) -> Tensor:
        """Flat positions (row * t + column) of the selected tokens, (n,) int64 rising; from (b, t) picture numbers."""
        positions = picture.flatten().nonzero().squeeze(1)  # (v,)
        rank, length = ranks_in_picture(picture.flatten()[positions], positions // picture.shape[1])
        return positions[self._chosen(rank, length)]

    def _chosen(self, rank: Tensor, length: Tensor) -> Tensor:
        if self.token_ratio == PAPER_RATIO:
            return (rank < self.first) | (rank >= length - self.last)
        wanted = (length * self.token_ratio - 1e-9).ceil().long().clamp(min=1)
        # Token k is chosen where one of the multiples of length / wanted falls into [k, k + 1).
        return (rank * wanted + length - 1) // length < ((rank + 1) * wanted + length - 1) // length


def ranks_in_picture(picture: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
    """The place of each visual token within its picture and that picture's length: both (v,) int64.

    picture, row: (v,) the picture number and sample of each visual token, in the order of the positions.
    """
    if not len(picture):
        return picture, picture
    identity = row * (picture.max() + 1) + picture
    order = identity.argsort(stable=True)
    _, group, lengths = identity.unique(return_inverse=True, return_counts=True)
    starts = lengths.cumsum(0) - lengths
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device) - starts[group[order]]
    return rank, lengths[group]


def marks_from_ids(input_ids: Tensor, image_token: int) -> Marks:
    """Marks of a batch whose pictures are contiguous runs of *image_token* in *input_ids* (b, t).

    For stock models without a composed model around them. Pictures that touch count as one; answers are unknown.
    """
    visual = input_ids == image_token
    starts = visual & ~functional.pad(visual, (1, 0))[:, :-1]
    picture = starts.cumsum(1) * visual
    return Marks(picture=picture, prompt=~visual, answer=torch.zeros_like(visual), block=torch.zeros_like(picture))


class Sight:
    """The selected positions of the forward pass under way, worked out once and shared by all layers."""

    def __init__(self, board: MarkBoard, selector: Callable[[Tensor], Tensor]):
        self.board = board
        self.selector = selector
        self._seen: tuple[Marks | None, tuple[object, ...]] = (None, ())
        self._positions: Tensor | None = None

    def positions(self, states: Tensor, *, cache: Any = None, layer: int = 0) -> Tensor | None:
        """Flat positions (n,) to edit in the *states* (b, t, d) of *layer*; None where there is nothing to edit.

        Marks of another length than the states count from the first token ever seen, so the columns of this pass
        start at the cache's length: a part of a prompt sees its part of the marks, generated tokens see none.
        """
        marks = self.board.current
        if marks is None:
            return None
        ahead = 0 if cache is None or marks.picture.shape[1] == states.shape[1] else int(cache.get_seq_length(layer))
        key = (states.shape[0], states.shape[1], ahead, states.device)
        if self._seen[0] is not marks or self._seen[1] != key:
            self._positions = self._select(marks.picture, states, ahead)
            self._seen = (marks, key)
        return self._positions

    def _select(self, picture: Tensor, states: Tensor, ahead: int) -> Tensor | None:
        rows, columns = states.shape[:2]
        if len(picture) != rows:
            raise DataError(f"marks: {len(picture)} samples shown for hidden states of {rows}; allowed {rows}")
        chosen = torch.zeros(picture.shape, dtype=torch.bool, device=picture.device)
        chosen.view(-1)[self.selector(picture)] = True
        window = chosen[:, ahead : ahead + columns]
        window = functional.pad(window, (0, columns - window.shape[1]))
        positions = window.flatten().nonzero().squeeze(1)
        return positions.to(states.device) if len(positions) else None
