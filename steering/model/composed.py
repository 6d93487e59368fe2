"""The composed model: connector and language model behind one seam, fed with visual features or pixels, and token ids.

Where nothing inside the vision encoder is trained or edited, its features are computed once and handed in; else
pixels are, and the encoder runs here. The composed model splices visual tokens into the word embeddings, shows the
marks on the language model's board for the length of the pass, and applies the LM head only where it is needed.

Shapes: b samples, t positions, p pictures, v visual tokens per picture, d hidden size.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from steering.data.collate import Batch
from steering.errors import DataError, ParamsError
from steering.model.connectors import Connector
from steering.model.encoders import VisionEncoder
from steering.model.language import backbone_of, exact_logits_at, logits_at
from steering.model.marks import MarkBoard, Marks, board_of

CAPTURED = "steering_capture"
"""The name of fused attention that is read while it runs: steering.analyse.capture."""

FUSED = {"sdpa", "flash_attention_2", CAPTURED}
"""Names of attention that needs no mask for plainly causal rows."""


class ComposedModel(nn.Module):
    """A connector, a causal language model (as it is or wrapped by PEFT) and, for live pictures, a vision encoder.

    mixed: run in the language model's own dtype by autocast, where float32 weights were put onto or into it.
    attend: how much the prompt attends to each position, (b, t) of a batch, shown as the marks' `attended`.
    """

    language_model: Any
    connector: Any
    vision: Any
    attend: Callable[[Batch], Tensor] | None

    def __init__(self, connector: Connector, language_model: nn.Module, vision: VisionEncoder | None = None):
        super().__init__()
        self.connector = connector
        self.language_model = language_model
        self.vision = vision
        self.mixed = False
        self.attend = None
        self.dtype: torch.dtype = self.language_model.get_input_embeddings().weight.dtype

    @property
    def config(self) -> Any:
        return self.language_model.config

    @property
    def device(self) -> torch.device:
        """Where its batches have to be."""
        weight: Tensor = self.language_model.get_input_embeddings().weight
        return weight.device

    @property
    def board(self) -> MarkBoard:
        model = self.language_model
        return board_of(model.get_base_model() if hasattr(model, "get_base_model") else model)

    mark_board = board  # so that the board of the composed model is that of its language model

    def precision(self) -> AbstractContextManager:
        if not self.mixed or self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.language_model.get_input_embeddings().weight.device.type, self.dtype)

    def visual(self, batch: Batch) -> Tensor:
        """The visual tokens of the batch's pictures: (p, v, d)."""
        return self.connector(self.vision(batch.pixels) if batch.features is None else batch.features)

    def splice(self, batch: Batch) -> Tensor:
        """Word embeddings with the visual tokens in their places: (b, t, d).

        Raises DataError where the pictures' tokens are not as many as their places.
        """
        embeddings = self.language_model.get_input_embeddings()(batch.input_ids)
        if not batch.pictured:
            return embeddings
        visual = self.visual(batch).to(embeddings.dtype)  # (p, v, d)
        places = int(batch.marks.visual.sum())
        if visual.shape[:-1].numel() != places:
            raise DataError(f"{len(visual)} pictures of {visual.shape[1]} visual tokens; the batch has {places} places")
        return embeddings.masked_scatter(batch.marks.visual.unsqueeze(-1), visual)

    def hidden(self, batch: Batch, **options: Any) -> Any:
        """The backbone's output (last_hidden_state (b, t, d), cache if asked for) with the marks on show.

        Where no sample has a picture there is nothing to choose, and how much is attended to is not asked.
        """
        marks = (
            batch.marks
            if self.attend is None or not batch.pictured
            else replace(batch.marks, attended=self.attend(batch))
        )
        return self.run(batch, marks, **options)

    def run(self, batch: Batch, marks: Marks, **options: Any) -> Any:
        """As `hidden`, with *marks* on show as they are."""
        with self.board.show(marks), self.precision():
            return backbone_of(self.language_model)(
                inputs_embeds=self.splice(batch),
                position_ids=batch.position_ids,
                attention_mask=self._seen(batch),
                **options,
            )

    def _seen(self, batch: Batch) -> Tensor:
        """Who may see whom; only who is padding where rows are plainly causal, which fused kernels do by themselves.

        Raises ParamsError where flash attention, which takes no mask of pairs, would need one.
        """
        attention = backbone_of(self.language_model).config._attn_implementation
        if batch.causal and attention in FUSED:
            return batch.real.long()
        if attention == "flash_attention_2":
            raise ParamsError(
                [
                    "attention: flash_attention_2 with several independent turns a sample; allowed: sdpa, or "
                    "independent_turns: false"
                ]
            )
        return self.mask(batch.visible)

    def mask(self, visible: Tensor) -> Tensor:
        """An additive mask (b, 1, q, k) in the backbone's dtype, which every attention implementation takes."""
        dtype = self.language_model.get_input_embeddings().weight.dtype
        return torch.zeros_like(visible, dtype=dtype).masked_fill_(~visible, torch.finfo(dtype).min)

    def decode(self, ids: Tensor, positions: Tensor, *, visible: Tensor, cache: Any) -> Any:
        """One decoding step: ids (b, q) at *positions*, seeing the cached keys of *visible* (b, 1, q, k).

        No marks are on show: there is no visual position left to edit, so steering costs nothing here.
        """
        with self.precision():
            return backbone_of(self.language_model)(
                inputs_embeds=self.language_model.get_input_embeddings()(ids),
                position_ids=positions,
                attention_mask=self.mask(visible),
                past_key_values=cache,
                use_cache=True,
            )

    def logits(self, hidden: Tensor) -> Tensor:
        """The LM head on chosen positions only: (n, d) to (n, vocabulary) in float32."""
        with self.precision():
            return logits_at(self.language_model, hidden)

    def exact_logits(self, hidden: Tensor) -> Tensor:
        """`logits` without bfloat16's ties, for answers: (..., d) to (..., vocabulary), no gradient."""
        with torch.no_grad():
            return exact_logits_at(self.language_model, hidden)

    def forward(self, batch: Batch) -> tuple[Tensor, int]:
        """Mean cross-entropy (nats per supervised token; 0 of none) and the number of supervised tokens."""
        hidden = self.hidden(batch, use_cache=False).last_hidden_state
        supervised = batch.marks.answer[:, 1:]  # a token is predicted from the position before it
        logits = self.logits(hidden[:, :-1][supervised])  # (n, vocabulary)
        targets = batch.input_ids[:, 1:][supervised]
        return functional.cross_entropy(logits, targets, reduction="sum") / max(len(targets), 1), len(targets)
