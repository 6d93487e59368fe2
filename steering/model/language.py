"""Language models: any causal LM of transformers, by its config, with weights from a local folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def build_language_model(config: dict[str, Any], *, dtype: str = "float32", device: str = "cpu") -> PreTrainedModel:
    """A frozen causal LM of *config* (transformers' own keys) with random weights; device "meta" costs nothing."""
    sizes = {key: value for key, value in config.items() if key != "model_type"}
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(config["model_type"], **sizes))
    return freeze(model.to(DTYPES[dtype]))


def load_language_model(folder: Path, *, dtype: str) -> PreTrainedModel:
    """The frozen causal LM of *folder* (safetensors only)."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=DTYPES[dtype], use_safetensors=True)
    return quicken(freeze(model))


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(folder)


def freeze(model: PreTrainedModel) -> PreTrainedModel:
    """No gradients; no dropout of its own even in training mode, where an adapter's may still be switched on."""
    module: Any
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.0
    return model.requires_grad_(False).eval()


def backbone_of(language_model: Any) -> Any:
    """The decoder stack below the LM head, adapters included."""
    base = language_model.get_base_model() if hasattr(language_model, "get_base_model") else language_model
    return base.model


def logits_at(language_model: Any, hidden: Tensor) -> Tensor:
    """The LM head on chosen positions only: (n, d) to (n, vocabulary) in float32."""
    base = language_model.get_base_model() if hasattr(language_model, "get_base_model") else language_model
    return base.get_output_embeddings()(hidden).float()


def quicken(model: PreTrainedModel) -> PreTrainedModel:
    """Let every RMSNorm of *model* run as torch's one native operation instead of six; the same up to rounding."""
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm") and hasattr(module, "variance_epsilon"):
            module.forward = _native_rms_norm.__get__(module)
    return model


def _native_rms_norm(self: Any, hidden: Tensor) -> Tensor:
    return functional.rms_norm(hidden, self.weight.shape, self.weight, self.variance_epsilon)
