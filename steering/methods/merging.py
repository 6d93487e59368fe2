"""An adapter merged into the weights of its base model, where the method allows it: it then costs nothing to answer.

What is linear in a linear's input or output can be merged: LoRA, OFT and IA3, by PEFT. A bottleneck cannot, for its
tanh; an edit cannot, for it depends on the position.
"""

from __future__ import annotations

from typing import Any

from peft import PeftModel

from steering.errors import SteeringError
from steering.model.composed import ComposedModel

MERGES = frozenset({"lora", "oft", "ia3"})


def merge(model: ComposedModel) -> ComposedModel:
    """*model*, changed in place: the base model's own modules with the adapter in their weights, in their dtype.

    Raises SteeringError where there is no adapter on the language model, or none that can be merged.
    """
    adapted: Any = model.language_model
    if not isinstance(adapted, PeftModel):
        raise SteeringError("merge: no adapter on the language model; allowed one of " + ", ".join(sorted(MERGES)))
    model.language_model = adapted.merge_and_unload()
    model.mixed = False  # no float32 weights are left beside the base model's
    return model
