"""How much a question attends to each position, by the base model's own attention: where an edit may choose to act.

    attended(j) = mean over layers, heads and the sample's prompt positions i of the attention from i to j

The base model is the one at hand with its adapters switched off, so what is chosen does not move while it is trained.
A picture's questions that share a sample share what is chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from steering.analyse.attention import capture
from steering.data.collate import Batch
from steering.model.composed import ComposedModel


def chooser(model: ComposedModel, settings: Mapping[str, Any]) -> Callable[[Batch], Tensor] | None:
    """What `model.attend` is to be for an arm of *settings*; None where the arm does not choose by attention."""
    chosen = settings.get("tokens") or {}
    return (lambda batch: prompt_attention(model, batch)) if chosen.get("attended") else None


@torch.no_grad()
def prompt_attention(model: ComposedModel, batch: Batch) -> Tensor:
    """(b, t) float32; 0 throughout for a sample without a prompt."""
    marks, length = batch.marks, batch.input_ids.shape[1]
    places = torch.eye(length, dtype=torch.bool, device=marks.prompt.device)
    columns = {str(at): places[at].expand_as(marks.prompt) for at in range(length)}
    language_model = model.language_model
    plain = language_model.disable_adapter() if hasattr(language_model, "disable_adapter") else nullcontext()
    with plain, capture(language_model, queries=marks.prompt, columns=columns) as recorder:
        model.run(batch, marks, use_cache=False)
    mass = recorder.mass()
    return torch.stack([mass[name].mean(0) for name in columns], dim=1).nan_to_num()  # (b, t)
