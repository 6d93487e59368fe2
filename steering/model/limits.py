"""How much a language model takes at once, from its configuration alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Limits:
    """What a language model takes: token ids below `vocabulary`, `window` positions, rows of `row` positions.

    None is no limit. Independent turns restart their positions behind the picture, so that a row may hold more
    positions than the window; a model with sliding attention takes no row longer than its sliding window.
    """

    vocabulary: int
    window: int | None = None
    row: int | None = None

    @classmethod
    def of(cls, config: Any) -> Limits:
        """Those of a language model's *config* of transformers."""
        slides = "sliding_attention" in (getattr(config, "layer_types", None) or ())
        window = getattr(config, "max_position_embeddings", None)
        return cls(config.vocab_size, window=window, row=config.sliding_window if slides else None)

    @property
    def alone(self) -> int | None:
        """Positions of one text in a row of its own."""
        return min((limit for limit in (self.window, self.row) if limit is not None), default=None)
