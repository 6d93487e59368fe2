"""From conversations to one batch: token ids, positions, who may see whom, and the marks of who stands where.

Several questions about one picture share its visual tokens. With independent turns each question is a block
that sees the shared opening and picture and itself, at positions that restart behind the picture: exactly as if
each had been asked alone, at the price of its own words only. With sequential turns a question sees those before it.

Shapes: b samples, t positions, p pictures, v visual tokens per picture, c features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor

from steering.data.templates import Turn
from steering.errors import DataError
from steering.model.marks import Marks

PICTURE, PROMPT, ANSWER, PADDING = range(4)


@dataclass(frozen=True)
class Sample:
    """A conversation ready for a batch; features (v, c) or pixels (3, s, s) of its picture, or neither for text alone.

    visual_tokens: positions the picture takes; with features, as many as there are unless told.
    """

    opening: tuple[int, ...]
    turns: tuple[Turn, ...]
    features: Tensor | None = None
    pixels: Tensor | None = None
    visual_tokens: int | None = None

    @property
    def places(self) -> int:
        """Positions the picture takes, 0 without one. Raises DataError for pixels with no number told."""
        if self.features is None and self.pixels is None:
            return 0
        if self.visual_tokens is not None:
            return self.visual_tokens
        if self.features is None:
            raise DataError("a sample of pixels without visual_tokens; allowed the positions its picture takes")
        return len(self.features)


@dataclass(frozen=True)
class Batch:
    """input_ids (b, t), position_ids (b, t), visible (b, 1, t, t) bool, features (p, v, c) or None, marks.

    pixels: (p, 3, s, s) in place of features where the vision encoder runs in the model.
    causal: whether *visible* says no more than that: no row holds two questions that may not see each other.
    """

    input_ids: Tensor
    position_ids: Tensor
    visible: Tensor
    features: Tensor | None
    marks: Marks
    pixels: Tensor | None = None
    causal: bool = False

    @property
    def pictured(self) -> bool:
        return self.features is not None or self.pixels is not None

    @property
    def real(self) -> Tensor:
        """(b, t) bool: positions that are not padding."""
        return self.marks.visual | self.marks.prompt | self.marks.answer

    @property
    def tokens(self) -> int:
        """Positions that are not padding."""
        return int(self.real.sum())

    def to(self, device: torch.device | str) -> Batch:
        held = {item.name: getattr(self, item.name) for item in fields(self)}
        return replace(self, **{name: value.to(device) for name, value in held.items() if hasattr(value, "to")})


@dataclass
class _Row:
    ids: list[int] = field(default_factory=list)
    roles: list[int] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)

    def add(self, ids: Sequence[int], *, role: int, block: int, start: int) -> int:
        self.ids += ids
        self.roles += [role] * len(ids)
        self.blocks += [block] * len(ids)
        self.positions += range(start, start + len(ids))
        return start + len(ids)

    def pad(self, length: int, *, left: bool) -> None:
        missing = length - len(self.ids)
        for column, value in ((self.ids, 0), (self.roles, PADDING), (self.blocks, 0), (self.positions, 0)):
            column[:] = [value] * missing + column if left else column + [value] * missing


def _lay_out(sample: Sample, *, independent: bool) -> _Row:
    if independent and len(sample.turns) > 1 and not all(turn.question for turn in sample.turns):
        raise DataError(
            f"a sample of {len(sample.turns)} independent turns has one without a question, whose answer nothing would "
            "predict; allowed: one turn, a question in each, or independent_turns: false"
        )
    row = _Row()
    shared = row.add(sample.opening, role=PROMPT, block=0, start=0)
    if sample.places:
        shared = row.add([0] * sample.places, role=PICTURE, block=0, start=shared)
    end = shared
    for number, turn in enumerate(sample.turns, start=1):
        block = number if independent else 0
        start = shared if independent else end
        middle = row.add(turn.question, role=PROMPT, block=block, start=start)
        end = row.add(turn.answer, role=ANSWER, block=block, start=middle)
    return row


def _visible(block: Tensor, padding: Tensor) -> Tensor:
    """(b, 1, t, t) bool: causal, within the block or into the shared part; a padded position sees itself alone."""
    t = block.shape[1]
    causal = torch.ones(t, t, dtype=torch.bool).tril()
    same = block[:, :, None] == block[:, None, :]
    shared = (block == 0)[:, None, :]
    real = ~(padding[:, :, None] | padding[:, None, :])
    return ((causal & (same | shared) & real) | torch.eye(t, dtype=torch.bool)).unsqueeze(1)


def _stacked(pictures: Sequence[Tensor | None]) -> Tensor | None:
    kept = [picture for picture in pictures if picture is not None]
    return torch.stack(kept) if kept else None


def collate(samples: Sequence[Sample], *, independent: bool = True, pad_left: bool = False) -> Batch:
    """One padded batch of *samples*; the token id at visual and padded positions is 0 and never read.

    Raises DataError for independent turns of which one has no question, and for features beside pixels.
    """
    features, pixels = (_stacked([getattr(sample, name) for sample in samples]) for name in ("features", "pixels"))
    if features is not None and pixels is not None:
        raise DataError("a batch of features and pixels; allowed one of them")
    rows = [_lay_out(sample, independent=independent) for sample in samples]
    length = max(len(row.ids) for row in rows)
    for row in rows:
        row.pad(length, left=pad_left)
    roles = torch.tensor([row.roles for row in rows])
    block = torch.tensor([row.blocks for row in rows])
    marks = Marks(picture=(roles == PICTURE).long(), prompt=roles == PROMPT, answer=roles == ANSWER, block=block)
    return Batch(
        input_ids=torch.tensor([row.ids for row in rows]),
        position_ids=torch.tensor([row.positions for row in rows]),
        visible=_visible(block, roles == PADDING),
        features=features,
        marks=marks,
        pixels=pixels,
        causal=int(block.max()) <= 1,
    )
