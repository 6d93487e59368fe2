"""Who is seen in the forward pass under way: selected positions, and marks for models that nothing else marks.

A composed model shows its marks on the language model's board. For stock models of transformers a watch reads
input_ids, attention_mask and labels instead, and remembers the prompt for the length of a generate(), because
generated tokens are no prompt, with or without a cache.

Shapes: b samples, t positions, n selected positions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from steering.errors import DataError
from steering.methods.selectors import Selector
from steering.model.marks import MarkBoard, Marks


class Sight:
    """The selected positions of the marks on show, worked out when they are put up and shared by all layers.

    A selection's shape depends on the marks, which no compiled graph can hold; made ahead of the pass, it is an input.
    awake: whether a pass under what is on show may have positions to edit, or a selector's complaint to hear.
    """

    def __init__(self, board: MarkBoard, selector: Selector):
        self.board = board
        self.selector = selector
        self._positions: Tensor | None = None
        self._fault: DataError | None = None
        self.awake = False
        board.onlookers.append(self._look)
        self._look(board.current)

    def _look(self, marks: Marks | None) -> None:
        """A selector's complaint waits for a pass that edits: base passes may lack what it wants."""
        self._positions, self._fault = None, None
        try:
            chosen = None if marks is None else self.selector(marks)
        except DataError as fault:
            self._fault, self.awake = fault, True
            return
        self._positions = chosen if chosen is not None and len(chosen) else None
        self.awake = self._positions is not None

    def close(self) -> None:
        if self._look in self.board.onlookers:
            self.board.onlookers.remove(self._look)

    def positions(self, states: Tensor, *, cache: Any = None, layer: int = 0) -> Tensor | None:
        """Flat positions (n,) to edit in the *states* (b, t, d) of *layer*; None where there is nothing to edit.

        Marks of another length than the states count from the first token ever seen, so the columns of this pass
        start at the cache's length: a part of a prompt sees its part of the marks, generated tokens see none.
        """
        marks = self.board.current
        if self._fault is not None:
            raise self._fault
        if marks is None or self._positions is None:
            return None
        if len(marks.picture) != len(states):
            raise DataError(
                f"marks: {len(marks.picture)} samples shown for hidden states of {len(states)}; allowed {len(states)}"
            )
        if marks.picture.shape[1] == states.shape[1]:
            self._positions = self._positions.to(states.device)
            return self._positions
        return self._window(marks, states, 0 if cache is None else int(cache.get_seq_length(layer)))

    def _window(self, marks: Marks, states: Tensor, ahead: int) -> Tensor | None:
        columns = states.shape[1]
        chosen = torch.zeros(marks.picture.shape, dtype=torch.bool, device=marks.picture.device)
        chosen.view(-1)[self._positions] = True
        window = chosen[:, ahead : ahead + columns]
        window = functional.pad(window, (0, columns - window.shape[1]))
        positions = window.flatten().nonzero().squeeze(1)
        return positions.to(states.device) if len(positions) else None


def marks_from_ids(
    input_ids: Tensor,
    image_token: int | None,
    *,
    attention_mask: Tensor | None = None,
    labels: Tensor | None = None,
) -> Marks:
    """Marks of a batch whose pictures are contiguous runs of *image_token* in *input_ids* (b, t).

    Pictures that touch count as one. Padding is what *attention_mask* (b, t) leaves out, answers are what *labels*
    (b, t) supervises (not -100), and all other text is prompt; without a mask padding counts as prompt.
    """
    visual = torch.zeros_like(input_ids, dtype=torch.bool) if image_token is None else input_ids == image_token
    starts = visual & ~functional.pad(visual, (1, 0))[:, :-1]
    present = torch.ones_like(visual) if attention_mask is None else attention_mask.bool()
    answer = torch.zeros_like(visual) if labels is None else (labels != -100) & present & ~visual
    picture = starts.cumsum(1) * visual
    return Marks(picture, prompt=present & ~visual & ~answer, answer=answer, block=torch.zeros_like(picture))


class PictureWatch:
    """Shows the pictures and prompts found in input_ids on the board, for models that nothing else marks."""

    def __init__(self, model: nn.Module, board: MarkBoard):
        self.model = model
        self.board = board
        self.shown = False
        self.asked: tuple[Tensor, Tensor | None] | None = None  # ids and mask of the generate() under way
        self.marks: Marks | None = None
        self.hooks = [
            model.register_forward_pre_hook(self.before, with_kwargs=True),
            model.register_forward_hook(self.after, always_call=True),
        ]
        if hasattr(model, "generate"):
            model.generate = self.generate  # type: ignore[assignment]

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """The model's own generate(), with its prompt remembered: what is generated is no part of it."""
        ids = kwargs.get("input_ids", kwargs.get("inputs", args[0] if args else None))
        self.asked = None if ids is None else (ids, kwargs.get("attention_mask"))
        try:
            return type(self.model).generate(self.model, *args, **kwargs)  # type: ignore[attr-defined]
        finally:
            self.asked = self.marks = None

    def before(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        input_ids = kwargs.get("input_ids", args[0] if args else None)
        if self.board.current is not None or input_ids is None:
            return
        marks = self._of_pass(input_ids, kwargs) if self.asked is None else self._of_prompt(input_ids, kwargs)
        self.board.current, self.shown = marks, True

    def _of_pass(self, input_ids: Tensor, kwargs: dict[str, Any]) -> Marks:
        """Marks of one pass by itself; behind cached tokens text counts as generated, so as no prompt."""
        labels, mask = kwargs.get("labels"), kwargs.get("attention_mask")
        mask = mask if mask is not None and mask.shape == input_ids.shape else None
        if _cached(kwargs):
            mask = torch.zeros_like(input_ids)
        return marks_from_ids(input_ids, self._image_token, attention_mask=mask, labels=labels)

    def _of_prompt(self, input_ids: Tensor, kwargs: dict[str, Any]) -> Marks | None:
        """Marks of the whole prompt of a generate(), for as many rows as its beams; None once it is all cached."""
        assert self.asked is not None
        ids, mask = self.asked
        length, beams = ids.shape[1], max(1, len(input_ids) // len(ids))
        if _cached(kwargs) >= length:
            return None
        if self.marks is None or len(self.marks.picture) != len(input_ids):
            ids, mask = ids.repeat_interleave(beams, 0), None if mask is None else mask.repeat_interleave(beams, 0)
            seen = kwargs.get("attention_mask")  # transformers works one out where none was given
            if mask is None and seen is not None and seen.ndim == 2:
                mask = seen[:, :length] if seen.shape[1] >= length else None
            self.marks = marks_from_ids(ids, self._image_token, attention_mask=mask)
        return self.marks

    @property
    def _image_token(self) -> int | None:
        return getattr(getattr(self.model, "config", None), "image_token_id", None)

    def after(self, model: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if self.shown:
            self.board.current, self.shown = None, False

    def remove(self) -> None:
        for hook in self.hooks:
            hook.remove()
        self.model.__dict__.pop("generate", None)


def _cached(kwargs: dict[str, Any]) -> int:
    """How many tokens the cache of a pass holds."""
    cache = kwargs.get("past_key_values")
    return 0 if cache is None else int(cache.get_seq_length())
