"""IA3 by PEFT: the outputs of k and v and the input of the last feed-forward linear are scaled channel by channel.

It starts as the identity (all scales 1), so the seed decides nothing.
"""

from __future__ import annotations

from peft import IA3Config, PeftModel
from torch import nn

from steering.arms import Ia3Settings
from steering.methods.linears import pattern_of, shape_of
from steering.methods.peft_registry import seeded_peft_model


def attach(language_model: nn.Module, settings: Ia3Settings, *, seed: int) -> PeftModel:
    """*language_model* with IA3, changed in place."""
    parts = shape_of(language_model).parts
    _, key, value, _ = parts.attention
    last = parts.feed_forward[-1]
    config = IA3Config(
        task_type="CAUSAL_LM",
        target_modules=pattern_of(language_model, [key, value, last]),
        feedforward_modules=pattern_of(language_model, [last]),
    )
    return seeded_peft_model(language_model, config, seed=seed)
