"""The arms, models and conversations that the contract of every method is tested on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from tiny_models import IMAGE, SIZES, Text, text
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM

from steering.arms import (
    AdapterSettings,
    FullSettings,
    Ia3Settings,
    LoraSettings,
    LoreftSettings,
    MoresSettings,
    MrtSettings,
    NoneSettings,
    OftSettings,
    VisionShape,
)
from steering.methods.placing import WEIGHTS
from steering.model.marks import board_of

PARTICULARS: dict[str, dict[str, Any]] = {
    "llama": {"num_key_value_heads": 2},
    "phi": {"resid_pdrop": 0.0},
    "qwen2": {"num_key_value_heads": 2, "tie_word_embeddings": True},
}
FAMILIES = tuple(PARTICULARS)
VISION = VisionShape(tokens=16, width=8)
MRT: dict[str, Any] = {"vision_rank": 0, "connector_rank": 0, "prefix_tokens": 2, "suffix_tokens": 2}
ARMS: dict[str, Any] = {
    "none": NoneSettings(),
    "full": FullSettings(),
    "lora": LoraSettings(rank=4, alpha=8, dropout=0.0),
    "lora_named": LoraSettings(rank=2, alpha=8, dropout=0.0, targets=["q_proj", "v_proj"]),
    "adapter": AdapterSettings(bottleneck=6),
    "oft": OftSettings(blocks=8),
    "ia3": Ia3Settings(),
    "mores": MoresSettings(),
    "mores_rank_3": MoresSettings(rank=3, token_ratio=0.5, layers="every_2nd"),
    "mores_input": MoresSettings(rank=2, token_ratio=1.0, placement="input", layers=[1, 3]),
    "mrt": MrtSettings(prefix_rank=2, suffix_rank=3, **MRT),
    "loreft": LoreftSettings(rank=2, first_tokens=1, last_tokens=2),
    "loreft_unshared": LoreftSettings(rank=2, first_tokens=1, last_tokens=2, shared=False),
}
TUNED = [name for name in ARMS if name != "none"]
IN_PEFT = [name for name in TUNED if name != "full"]
DRAWN = [name for name in IN_PEFT if name not in ("oft", "ia3")]
"""Those whose start is drawn; the others start as the identity."""
MERGEABLE = [name for name in IN_PEFT if ARMS[name].method in ("lora", "oft", "ia3")]

TALKS = [
    [5, 6, *[IMAGE] * 16, 7, 8, 9, 10, 21, 22],
    [11, 12, *[IMAGE] * 12, 13, *[IMAGE] * 5, 14, 15, 16, 17, 23, 24],
    [25, 26, 27, 28, 29, 30, 31, 32],
]
"""One picture of 16 tokens; two of 12 and 5; none. The last two tokens are the answer."""


def language_model(family: str, dtype: torch.dtype = torch.float32, *, layers: int = 4) -> nn.Module:
    """The same random frozen model each time, of 4 heads; Qwen2's embeddings are tied."""
    config = AutoConfig.for_model(family, **SIZES | PARTICULARS[family] | {"num_hidden_layers": layers})
    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_config(config)
    return model.to(dtype).requires_grad_(False).eval()


def conversation(rows: list[list[int]] = TALKS, *, side: str = "right", answer: int = 2) -> Text:
    """*rows* whose last *answer* tokens are the answer."""
    batch = text(rows, side=side)
    remaining = batch.mask.flip(1).cumsum(1).flip(1)  # from here to the last token, padding not counted
    answers = (remaining <= answer) & batch.mask.bool()
    return replace(batch, marks=replace(batch.marks, answer=answers, prompt=batch.marks.prompt & ~answers))


def loss(model: nn.Module, batch: Text) -> Tensor:
    """Mean cross-entropy of the answers, as in training."""
    supervised = batch.marks.answer[:, 1:]
    logits = batch.logits(model)[:, :-1][supervised]
    return nn.functional.cross_entropy(logits.float(), batch.ids[:, 1:][supervised])


def mixed(arm: str) -> torch.autocast:
    """How a bfloat16 model of *arm* runs inside a composed model."""
    return torch.autocast("cpu", torch.bfloat16, enabled=ARMS[arm].method in WEIGHTS)


def base_of(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def shown(model: nn.Module, batch: Text) -> Any:
    """A context in which the marks of *batch* are on the model's board."""
    return board_of(base_of(model)).show(batch.marks)


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
