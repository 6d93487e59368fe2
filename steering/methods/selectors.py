"""Which positions are edited: a token selector reads the marks of a batch and answers with flat positions.

Visual tokens are chosen by picture, in the order of its tokens, and text tokens by question, so any number of
pictures of any length, any number of questions and any padding side are alike. The papers' "1 %" is the first 4 and
last 5 visual tokens of each picture; every other ratio takes evenly spaced ones.

A prompt ends where an answer begins, or where its question's text does. So the ends of a prompt are the same tokens
whether its answer is there (training) or not (evaluation); MRT's released code takes them from question and answer
in training, and from the question alone in evaluation.

Every selector maps marks (b, t) to (n,) int64, rising: row * t + column of each selected token.

Shapes: b samples, t positions, m candidate positions, n selected positions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from steering.arms import PAPER_RATIO, TokenChoice
from steering.errors import DataError
from steering.model.marks import Marks

Selector = Callable[[Marks], Tensor]


@dataclass(frozen=True)
class AllVisual:
    """Every visual token."""

    def __call__(self, marks: Marks) -> Tensor:
        return marks.visual.flatten().nonzero().squeeze(1)


@dataclass(frozen=True)
class VisualSelector:
    """token_ratio of the visual tokens of each picture; PAPER_RATIO means the `first` and `last` ones."""

    token_ratio: float = PAPER_RATIO
    first: int = 4
    last: int = 5

    def __call__(self, marks: Marks) -> Tensor:
        positions, picture = grouped(marks.visual, marks.picture)
        rank, length = ranked(picture)
        return positions[self._chosen(rank, length)]

    def _chosen(self, rank: Tensor, length: Tensor) -> Tensor:
        if self.token_ratio == PAPER_RATIO:
            return (rank < self.first) | (rank >= length - self.last)
        wanted = (length * self.token_ratio - 1e-9).ceil().long().clamp(min=1)
        # Token k is chosen where one of the multiples of length / wanted falls into [k, k + 1).
        return (rank * wanted + length - 1) // length < ((rank + 1) * wanted + length - 1) // length


@dataclass(frozen=True)
class BoxSelector:
    """The patches of each picture whose centres the box covers: left, top, right, bottom as fractions of the picture.

    The left and top edges belong to the box, the right and bottom ones do not, so boxes side by side share no patch.
    Raises DataError where a picture is no square grid, or the box covers no centre.
    """

    box: tuple[float, float, float, float]

    def __call__(self, marks: Marks) -> Tensor:
        positions, picture = grouped(marks.visual, marks.picture)
        rank, length = ranked(picture)
        side = length.double().sqrt().round().long()
        if len(uneven := length[side * side != length]):
            raise DataError(f"box: a picture of {int(uneven[0])} visual tokens is no square grid")
        inside = self._covered(rank, side)
        if len(positions) and not inside.any():
            raise DataError(f"box: {list(self.box)} covers the centre of no patch; allowed larger ones")
        return positions[inside]

    def _covered(self, rank: Tensor, side: Tensor) -> Tensor:
        left, top, right, bottom = self.box
        across, down = ((place.double() + 0.5) / side for place in (rank % side, rank // side))  # of the centres
        return (left <= across) & (across < right) & (top <= down) & (down < bottom)


@dataclass(frozen=True)
class PatchSelector:
    """The visual tokens of each picture with these numbers; raises DataError where a picture has fewer."""

    patches: Sequence[int]

    def __call__(self, marks: Marks) -> Tensor:
        positions, picture = grouped(marks.visual, marks.picture)
        rank, length = ranked(picture)
        if len(positions) and max(self.patches) >= int(length.min()):
            raise DataError(f"patches: {max(self.patches)} outside the picture; allowed 0..{int(length.min()) - 1}")
        return positions[torch.isin(rank, torch.tensor(list(self.patches), device=rank.device))]


@dataclass(frozen=True)
class AttendedSelector:
    """The `count` visual tokens of each picture to which the prompt attends most; of equals, the first."""

    count: int

    def __call__(self, marks: Marks) -> Tensor:
        positions, picture = grouped(marks.visual, marks.picture)
        if not len(positions):
            return positions
        if marks.attended is None:
            raise DataError("attended: the marks do not tell how much the prompt attends to each position")
        order = marks.attended.flatten()[positions].argsort(descending=True, stable=True)
        rank, _ = ranked(picture[order])
        return positions[order[rank < self.count]].sort().values


@dataclass(frozen=True)
class PrefixSelector:
    """The first `count` prompt tokens behind the last picture: of each question, and of what no question owns.

    Nothing in samples without a picture.
    """

    count: int

    def __call__(self, marks: Marks) -> Tensor:
        behind = marks.visual.flip(1).cumsum(1).flip(1) == 0  # no picture follows
        pictured = marks.visual.any(1, keepdim=True)
        positions, question = grouped(marks.prompt & pictured & (behind | (marks.block > 0)), marks.block)
        return positions[ranked(question)[0] < self.count]


@dataclass(frozen=True)
class SuffixSelector:
    """The last `count` tokens of each unbroken run of prompt tokens at which a prompt ends."""

    count: int

    def __call__(self, marks: Marks) -> Tensor:
        starts = marks.prompt & ~_continues(marks)
        positions, run = grouped(marks.prompt, starts.flatten().cumsum(0).view_as(marks.block))
        rank, length = ranked(run)
        left = length - rank  # tokens from here to the end of the run
        ended = prompt_ends(marks).flatten()[positions + left - 1]
        return positions[ended & (left <= self.count)]


@dataclass(frozen=True)
class FirstAndLast:
    """The `first` and the `last` text tokens of each prompt, pictures and earlier answers between them or not.

    The first ones count from the start of the question, or of the sample where all questions stand in one row; the
    last ones from the end of each question.
    """

    first: int
    last: int

    def __call__(self, marks: Marks) -> Tensor:
        answer_starts = marks.answer & ~functional.pad(marks.answer, (1, 0))[:, :-1]
        positions, question = grouped(marks.prompt, marks.block)
        _, turn = grouped(marks.prompt, marks.block, answer_starts.cumsum(1))
        ends = prompt_ends(marks).flatten()[positions]
        rank, _ = ranked(question)
        place, length = ranked(turn)
        first = (rank < self.first) & _any_of(question, ends)
        return positions[first | ((length - place <= self.last) & _any_of(turn, ends))]


def visual_selector(
    tokens: TokenChoice | None, token_ratio: float = PAPER_RATIO, *, first: int = 4, last: int = 5
) -> Selector:
    """The selector of a choice of visual tokens; without one, of a token ratio."""
    if tokens is None:
        return VisualSelector(token_ratio, first, last)
    if tokens.box is not None:
        left, top, right, bottom = tokens.box
        return BoxSelector((left, top, right, bottom))
    if tokens.patches is not None:
        return PatchSelector(tuple(tokens.patches))
    return AttendedSelector(tokens.attended or 1)


def prompt_ends(marks: Marks) -> Tensor:
    """The last token of each prompt, (b, t) bool: what follows is an answer, another question, or nothing.

    What a picture follows, or the text of a question follows that does not own it (the shared opening), is no end.
    """
    answer, prompt, visual = (_following(role) for role in (marks.answer, marks.prompt, marks.visual))
    nothing = ~(answer | prompt | visual)
    leaves = prompt & (marks.block > 0) & (_following(marks.block) != marks.block)
    return marks.prompt & (answer | nothing | leaves)


def _following(role: Tensor) -> Tensor:
    """What stands one column on; nothing (0) behind the last one."""
    return functional.pad(role[:, 1:], (0, 1))


def _continues(marks: Marks) -> Tensor:
    """Prompt positions whose left neighbour is a prompt token of the same question: (b, t) bool."""
    prompt, block = functional.pad(marks.prompt, (1, 0))[:, :-1], functional.pad(marks.block, (1, 0))[:, :-1]
    return marks.prompt & prompt & (block == marks.block)


def grouped(candidates: Tensor, *keys: Tensor) -> tuple[Tensor, Tensor]:
    """Flat positions of the *candidates* (b, t) and a number for the group of each, both (m,).

    Candidates are in one group where they share the sample and every key (b, t) int64.
    """
    positions = candidates.flatten().nonzero().squeeze(1)
    group = positions // candidates.shape[1]
    for key in keys if len(positions) else ():
        values = key.flatten()[positions]
        group = group * (values.max() + 1) + values
    return positions, group


def ranked(group: Tensor) -> tuple[Tensor, Tensor]:
    """The place of each token within its group, in the order given, and that group's length: both (m,) int64."""
    if not len(group):
        return group, group
    order = group.argsort(stable=True)
    _, index, lengths = group.unique(return_inverse=True, return_counts=True)
    starts = lengths.cumsum(0) - lengths
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device) - starts[index[order]]
    return rank, lengths[index]


def _any_of(group: Tensor, flags: Tensor) -> Tensor:
    """Whether any token of a token's group is flagged: (m,) bool."""
    return torch.isin(group, group[flags])
