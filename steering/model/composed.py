"""The composed model: connector and language model behind one seam, fed with visual features and token ids.

The vision encoder is frozen in every arm, so its features are computed once and handed in. The composed model
splices visual tokens into the word embeddings, shows the marks on the language model's board for the length of
the pass, and applies the LM head only where it is needed.

Shapes: b samples, t positions, p pictures, v visual tokens per picture, d hidden size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from steering.data.collate import Batch
from steering.model.connectors import Connector
from steering.model.language import backbone_of, logits_at
from steering.model.marks import MarkBoard, board_of


class ComposedModel(nn.Module):
    """A connector and a causal language model, the latter as it is or wrapped by PEFT."""

    language_model: Any

    def __init__(self, connector: Connector, language_model: nn.Module):
        super().__init__()
        self.connector = connector
        self.language_model = language_model

    @property
    def board(self) -> MarkBoard:
        model = self.language_model
        return board_of(model.get_base_model() if hasattr(model, "get_base_model") else model)

    def splice(self, batch: Batch) -> Tensor:
        """Word embeddings with the visual tokens in their places: (b, t, d)."""
        embeddings = self.language_model.get_input_embeddings()(batch.input_ids)
        if batch.features is None:
            return embeddings
        visual = self.connector(batch.features).to(embeddings.dtype)  # (p, v, d)
        return embeddings.masked_scatter(batch.marks.visual.unsqueeze(-1), visual)

    def hidden(self, batch: Batch, **options: Any) -> Any:
        """The backbone's output (last_hidden_state (b, t, d), cache if asked for) with the marks on show."""
        with self.board.show(batch.marks):
            return backbone_of(self.language_model)(
                inputs_embeds=self.splice(batch),
                position_ids=batch.position_ids,
                attention_mask=self.mask(batch.visible),
                **options,
            )

    def mask(self, visible: Tensor) -> Tensor:
        """An additive mask (b, 1, q, k) in the backbone's dtype, which every attention implementation takes."""
        dtype = self.language_model.get_input_embeddings().weight.dtype
        return torch.zeros_like(visible, dtype=dtype).masked_fill_(~visible, torch.finfo(dtype).min)

    def decode(self, ids: Tensor, positions: Tensor, *, visible: Tensor, cache: Any) -> Any:
        """One decoding step: ids (b, q) at *positions*, seeing the cached keys of *visible* (b, 1, q, k).

        No marks are on show: there is no visual position left to edit, so steering costs nothing here.
        """
        return backbone_of(self.language_model)(
            inputs_embeds=self.language_model.get_input_embeddings()(ids),
            position_ids=positions,
            attention_mask=self.mask(visible),
            past_key_values=cache,
            use_cache=True,
        )

    def forward(self, batch: Batch) -> tuple[Tensor, int]:
        """Mean cross-entropy (nats per supervised token) and the number of supervised tokens."""
        hidden = self.hidden(batch, use_cache=False).last_hidden_state
        supervised = batch.marks.answer[:, 1:]  # a token is predicted from the position before it
        logits = logits_at(self.language_model, hidden[:, :-1][supervised])  # (n, vocabulary)
        targets = batch.input_ids[:, 1:][supervised]
        return functional.cross_entropy(logits, targets), len(targets)
