"""What would stop a run hours after its start, or spoil it in silence, found before the first step: data and disk.

`census` writes every conversation once, as the run will, and tells all faults together; what it measures on the way,
training needs next. No label is ever searched for: what is supervised is `Turn.answer`, the answer and the closing
as the scribe wrote them, and a text is tokenised once.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from steering.data.conversations import Conversation
from steering.data.templates import Scribe, Turn
from steering.errors import DataError, SteeringError
from steering.model.limits import Limits
from steering.progress import progress

EXAMPLES = 5
FLOAT_BYTES = 4
MOMENTS = 2  # AdamW's, of each parameter
COPIES = 2  # of what a run has trained: the run store's and the delivered one
SPARE_SHARE, SPARE_BYTES = 0.05, 100_000_000

Places = Callable[[str], int | None]
"""Positions a picture takes, None for one that archive or features lack."""

Fault = tuple[str, str]
"""A key of FAULTS and what was found."""

FAULTS = {
    "no turn": "a question and its answer, or more of them",
    "empty answer": "some text in every answer",
    "answer without a token of its own": "text that the tokenizer writes, for its closing alone teaches nothing",
    "turn without a question": "a question in each independent turn, a single turn, or independent_turns: false",
    "unknown picture": "pictures that the archive of their data set and its features hold",
    "token outside the vocabulary": "ids below {vocabulary:,}, from the language model's own tokenizer and template",
    "longer than the window": "{window:,} positions, the language model's max_position_embeddings",
    "longer than the sliding window": "{row:,} positions of all turns together, the language model's sliding_window",
}
"""What is found -> what is allowed."""


@dataclass(frozen=True)
class Census:
    """What a training set holds; lengths: positions each conversation takes in a row, its picture included."""

    lengths: list[int]
    supervised_tokens: int
    turns: int
    text_only: int

    @property
    def conversations(self) -> int:
        return len(self.lengths)


def census(
    conversations: Sequence[Conversation], scribe: Scribe, *, places: Places, limits: Limits, independent: bool = True
) -> Census:
    """Count *conversations* as *scribe* writes them, in independent turns or not.

    places(picture) gives the positions of "<dataset>/<name>", or None where that picture cannot be had.
    Raises DataError with every kind of fault, how many conversations have it, and the first of them.
    """
    tally, lengths, supervised = _Tally(), [], 0
    for conversation in progress(conversations, "conversations checked"):
        written = _write(conversation, scribe, places, independent=independent)
        tally.add(conversation.id, _faults(written, limits, independent=independent))
        lengths.append(written.length)
        supervised += written.supervised
    tally.refuse(len(conversations), limits)
    turns = sum(len(conversation.turns) for conversation in conversations)
    return Census(lengths, supervised, turns, text_only=sum(c.image is None for c in conversations))


@dataclass(frozen=True)
class _Written:
    """A conversation as token ids, laid out as collate does; places: of its picture, None where that is unknown."""

    said: Conversation
    opening: tuple[int, ...]
    closing: tuple[int, ...]
    turns: tuple[Turn, ...]
    places: int | None

    @property
    def shared(self) -> int:
        return len(self.opening) + (self.places or 0)

    @cached_property
    def blocks(self) -> list[int]:
        return [len(turn.question) + len(turn.answer) for turn in self.turns]

    @property
    def length(self) -> int:
        return self.shared + sum(self.blocks)

    @property
    def supervised(self) -> int:
        """Answer tokens with a position before them, which predicts them."""
        unpredicted = bool(self.turns) and not self.shared and not self.turns[0].question
        return sum(len(turn.answer) for turn in self.turns) - unpredicted


def _write(conversation: Conversation, scribe: Scribe, places: Places, *, independent: bool) -> _Written:
    image = conversation.image
    turns = tuple(
        scribe.replay(asked, told, pictured=image is not None, later=number > 0 and not independent)
        for number, (asked, told) in enumerate(conversation.turns)
    )
    taken = 0 if image is None else places(image)
    opening = scribe.text_opening if image is None else scribe.opening
    return _Written(conversation, opening, scribe.closing, turns, taken)


def _faults(written: _Written, limits: Limits, *, independent: bool) -> Iterator[Fault]:
    if not written.turns:
        yield "no turn", ""
    if written.places is None:
        yield "unknown picture", f"{written.said.image}"
    for number, turn in enumerate(written.turns, start=1):
        yield from _answer_faults(written, number)
        if independent and len(written.turns) > 1 and not turn.question:
            yield "turn without a question", f"turn {number}"
    yield from _size_faults(written, limits, independent=independent)


def _answer_faults(written: _Written, number: int) -> Iterator[Fault]:
    told, turn = written.said.turns[number - 1][1], written.turns[number - 1]
    if not told.strip():
        yield "empty answer", f"turn {number}"
    elif len(turn.answer) == len(written.closing):
        yield "answer without a token of its own", f"turn {number}"


def _size_faults(written: _Written, limits: Limits, *, independent: bool) -> Iterator[Fault]:
    pieces = (written.opening, *(piece for turn in written.turns for piece in (turn.question, turn.answer)))
    highest = max((max(piece) for piece in pieces if piece), default=0)
    if highest >= limits.vocabulary:
        yield "token outside the vocabulary", f"id {highest:,}"
    reach = written.shared + max(written.blocks, default=0) if independent else written.length
    if limits.window is not None and reach > limits.window:
        yield "longer than the window", f"{reach:,} positions"
    if limits.row is not None and written.length > limits.row:
        yield "longer than the sliding window", f"{written.length:,} positions"


@dataclass
class _Tally:
    """How many conversations have each kind of fault, and the first few of them by their ids."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)
    faulty: int = 0

    def add(self, name: str, faults: Iterator[Fault]) -> None:
        first: dict[str, str] = {}
        for kind, found in faults:
            first.setdefault(kind, found)
        self.faulty += bool(first)
        for kind, found in first.items():
            self.counts[kind] = self.counts.get(kind, 0) + 1
            if self.counts[kind] <= EXAMPLES:
                self.examples.setdefault(kind, []).append(f"{name} ({found})" if found else name)

    def refuse(self, total: int, limits: Limits) -> None:
        """Raises DataError where anything was found."""
        if not self.faulty:
            return
        lines = [self._line(kind, limits) for kind in FAULTS if kind in self.counts]
        raise DataError("\n".join([f"training set: {self.faulty:,} of {total:,} conversations cannot be used", *lines]))

    def _line(self, kind: str, limits: Limits) -> str:
        count, shown = self.counts[kind], self.examples[kind]
        more = f" and {count - len(shown):,} more" if count > len(shown) else ""
        allowed = FAULTS[kind].format(vocabulary=limits.vocabulary, window=limits.window, row=limits.row)
        return f"  {kind}: {count:,}; allowed {allowed}\n    {', '.join(shown)}{more}"


def run_bytes(parameters: int, *, bytes_each: int = FLOAT_BYTES, kept: int = 2) -> int:
    """Disk space of a run that trains *parameters* of *bytes_each*.

    *kept* checkpoints and the one being written, each with AdamW's moments in float32, and what was trained, twice.
    """
    weights = parameters * bytes_each
    checkpoint = weights + MOMENTS * FLOAT_BYTES * parameters
    return (kept + 1) * checkpoint + COPIES * weights


def bytes_in(folder: Path) -> int:
    """Of all files below *folder*, 0 where there is none: what a run to be resumed has of its space already."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def require_space(folder: Path, needed_bytes: int, *, what: str) -> None:
    """Raises SteeringError unless *folder*'s file system has *needed_bytes* free, and a twentieth and 100 MB more.

    *folder* need not be there yet.
    """
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    margin = round(needed_bytes * SPARE_SHARE) + SPARE_BYTES
    if free < needed_bytes + margin:
        raise SteeringError(
            f"{folder}: {_told(free)} free on its disk; {what} needs {_told(needed_bytes)}, and {_told(margin)} to "
            "spare; free some space, then run again"
        )


def _told(count: int) -> str:
    """Decimal units, as disks are sold and `df -H` tells them."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
