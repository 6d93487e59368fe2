"""Who stands where: the marks of visual, prompt and answer positions that editors and attention analyses read.

The composed model marks positions when it splices pictures into text, and shows the marks on the language
model's board for the length of one forward pass. Nobody derives offsets from token ids again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Marks:
    """The role of each position of a batch, before any generated token.

    picture: (b, t) int64; 0 = not visual, k = belongs to the k-th picture of its sample (from 1).
    prompt:  (b, t) bool; text of system and user, template tokens included; never padding, pictures or answers.
    answer:  (b, t) bool; tokens of the answers (the supervised span).
    block:   (b, t) int64; 0 = shared by all questions of the sample, k = belongs to its k-th question (from 1).
    attended: (b, t) float or None; how much the base model's prompt attends to each position, where it was asked for.
    """

    picture: Tensor
    prompt: Tensor
    answer: Tensor
    block: Tensor
    attended: Tensor | None = None

    @property
    def visual(self) -> Tensor:
        """(b, t) bool: positions that hold a visual token."""
        return self.picture > 0

    def to(self, device: torch.device | str) -> Marks:
        told = {role.name: getattr(self, role.name) for role in fields(self)}
        return replace(self, **{name: role.to(device) for name, role in told.items() if role is not None})


class MarkBoard:
    """Where the marks of the forward pass under way are shown; empty while cached tokens are decoded.

    onlookers: called with what is shown, when it is shown: ahead of the pass, so outside of a compiled graph.
    """

    def __init__(self) -> None:
        self.onlookers: list[Callable[[Marks | None], None]] = []
        self._current: Marks | None = None

    @property
    def current(self) -> Marks | None:
        return self._current

    @current.setter
    def current(self, marks: Marks | None) -> None:
        self._current = marks
        for look in self.onlookers:
            look(marks)

    @contextmanager
    def show(self, marks: Marks | None) -> Iterator[None]:
        before, self.current = self.current, marks
        try:
            yield
        finally:
            self.current = before


def board_of(language_model: nn.Module) -> MarkBoard:
    """The board of *language_model*, made on first use."""
    board = getattr(language_model, "mark_board", None)
    if board is None:
        board = MarkBoard()
        language_model.mark_board = board  # type: ignore[assignment]
    return board
