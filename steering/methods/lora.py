"""LoRA by PEFT, on every linear of the decoder layers but lm_head (the papers' choice) or on named projections.

The trainable matrices are float32 whatever the backbone's dtype.
"""

from __future__ import annotations

from peft import LoraConfig, PeftModel
from torch import nn

from steering.arms import LoraSettings
from steering.methods.linears import pattern_of, shape_of
from steering.methods.peft_registry import seeded_peft_model


def attach(language_model: nn.Module, settings: LoraSettings, *, seed: int) -> PeftModel:
    """*language_model* with LoRA, changed in place; the starting values follow from *seed*."""
    names = list(shape_of(language_model).linears) if settings.targets == "all-linear" else settings.targets
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]  # PEFT only divides by the rank
        lora_dropout=settings.dropout,
        target_modules=pattern_of(language_model, names),
        bias="none",
    )
    return seeded_peft_model(language_model, config, seed=seed)
