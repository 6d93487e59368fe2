"""Language models: any causal LM of transformers, by its config, with weights from a local folder.

Checked token for token against transformers for the families of steering.families. Where a family departs from
Llama, it is met here: the logits' soft cap (Gemma 2), word embeddings that are scaled where they are looked up
(Gemma, Gemma 2), attention that no fused kernel knows (Gemma 2), sliding windows (Gemma 2, Qwen on demand).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import is_bitsandbytes_available, is_flash_attn_2_available

from steering.errors import DataError, SteeringError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
STORED = "stored_dtype"
"""The attribute of a loaded model that tells the dtype of its files, which it may not be held in."""

HEAD_ROWS = 8192

QUICKENED = ("LlamaRMSNorm", "Qwen2RMSNorm", "Qwen3RMSNorm")  # Gemma's multiplies by 1 + weight, and gains nothing


def build_language_model(config: dict[str, Any], *, dtype: str = "float32", device: str = "cpu") -> PreTrainedModel:
    """A frozen causal LM of *config* (transformers' own keys) with random weights; device "meta" costs nothing."""
    sizes = {key: value for key, value in config.items() if key != "model_type"}
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(config["model_type"], **sizes))
    return heed_window(freeze(model.to(DTYPES[dtype])))


def load_language_model(
    folder: Path, *, dtype: str, attention: str | None = None, quantise: str | None = None
) -> PreTrainedModel:
    """The frozen causal LM of *folder* (safetensors only).

    attention: "eager" or "sdpa", by default what transformers prefers.
    quantise: "4bit" keeps the linears but the LM head in NF4 with double quantisation and multiplies in *dtype*
    (QLoRA, Dettmers et al. 2023), on the current GPU at once; such a model takes no `.to(dtype)`.
    The weights are those of *dtype*, held as `held_in` says.
    Raises SteeringError, before any weight is read, for what this machine or this family cannot do.
    """
    options = {} if quantise is None else _quantised(quantise, dtype)
    if attention is not None:
        check_attention(AutoConfig.from_pretrained(folder), attention)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=DTYPES[dtype], use_safetensors=True, **options)
    if not quantise:
        nn.Module.to(model, held_in(dtype))
    setattr(model, STORED, DTYPES[dtype])
    if attention is not None:
        model.set_attn_implementation(attention)
    return heed_window(quicken(freeze(model)))


def held_in(dtype: str) -> torch.dtype:
    """The dtype in which this machine computes with weights of *dtype*: float32 in place of a slow bfloat16.

    x86 without a bfloat16 product multiplies it in torch's plain loops (AVX2: a step of the embedded world took 112 s
    in place of 3) or by oneDNN's detour over float32 (AVX-512: 23 GFLOP/s a core in place of 79); Intel's AVX-512 has
    one that is slower than float32's (83 GFLOP/s in place of 154). The weights are the same ones, so results differ by
    rounding, as between any two machines.
    """
    return DTYPES[dtype] if multiplies_bfloat16() else torch.float32


def multiplies_bfloat16() -> bool:
    """Whether this machine has a bfloat16 product that is no slower than float32's.

    A GPU has; of x86 AMX and AMD's AVX-512; others as torch asks oneDNN.
    """
    if torch.cuda.is_available():
        return True
    found = torch.cpu.get_capabilities()
    if found.get("architecture") == "x86_64":
        return bool(found["amx_bf16"] or (found["avx512_bf16"] and "Intel" not in found["cpu_name"]))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _quantised(quantise: str, dtype: str) -> dict[str, Any]:
    """from_pretrained's options for 4-bit weights on the current GPU."""
    if quantise != "4bit":
        raise SteeringError(f"language model: quantise: {quantise} is unknown; allowed 4bit, or left out")
    missing = [] if torch.cuda.is_available() else ["a CUDA GPU"]
    missing += [] if is_bitsandbytes_available() else ['bitsandbytes (pip install -e ".[gpu]")']
    if missing:
        found = f"this machine lacks {' and '.join(missing)}"
        raise SteeringError(f"language model: quantise: 4bit: {found}; allowed with both, or leave quantise out")
    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=DTYPES[dtype],
    )
    return {"quantization_config": settings, "device_map": {"": torch.cuda.current_device()}}


def check_attention(config: Any, attention: str) -> None:
    """Raises SteeringError where this family or this machine has no such attention.

    transformers' sdpa cannot soft-cap attention, as Gemma 2 does; flash attention runs on a GPU, from its own package.
    """
    language_model: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    if attention == "flash_attention_2" and not (torch.cuda.is_available() and is_flash_attn_2_available()):
        raise SteeringError(
            "language model: attention: flash_attention_2 needs a CUDA GPU and flash-attn; allowed sdpa"
        )
    if attention == "sdpa" and not language_model._supports_sdpa:
        raise SteeringError(f"language model: attention: sdpa: {config.model_type} has none; allowed eager")


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(folder)


def freeze(model: PreTrainedModel) -> PreTrainedModel:
    """No gradients; no dropout of its own even in training mode, where an adapter's may still be switched on.

    The papers' recipe trains in training mode (the Trainer of LLaVA and of TinyLLaVA Factory calls `model.train()`),
    so a frozen base with dropout in its config.json keeps it on there. Of the families here that is Phi-2 alone:
    resid_pdrop 0.1, embd_pdrop and attention_dropout 0; transformers' default is 0 for every family's rates.
    Ours is off: a frozen base is then one function, the same in training and in evaluation.
    """
    module: Any
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.0
    return model.requires_grad_(False).eval()


def heed_window(model: PreTrainedModel) -> PreTrainedModel:
    """Let a base with a sliding window refuse masks of ours that are longer.

    transformers applies the window to masks that it makes itself and takes those of four dimensions as they are.
    Up to the window's length both agree; beyond it the base would see what it never saw, without a word.
    """
    if "sliding_attention" in (getattr(model.config, "layer_types", None) or ()):
        refuse = partial(_within_window, model.config.sliding_window)
        model.model.register_forward_pre_hook(refuse, with_kwargs=True)
    return model


def _within_window(window: int, module: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    mask = named.get("attention_mask")
    if isinstance(mask, Tensor) and mask.ndim == 4 and mask.shape[-1] > window:
        family = module.config.model_type
        raise DataError(f"a text of {mask.shape[-1]} positions; allowed {window}, {family}'s sliding window")


def base_of(language_model: Any) -> Any:
    """The causal LM beneath an adapter."""
    return language_model.get_base_model() if hasattr(language_model, "get_base_model") else language_model


def backbone_of(language_model: Any) -> Any:
    """The decoder stack below the LM head, adapters included."""
    return base_of(language_model).model


def logits_at(language_model: Any, hidden: Tensor) -> Tensor:
    """The LM head on chosen positions only: (n, d) to (n, vocabulary) in float32, soft-capped where the model does."""
    base = base_of(language_model)
    return _capped(base, base.get_output_embeddings()(hidden)).float()


def exact_logits_at(language_model: Any, hidden: Tensor) -> Tensor:
    """`logits_at` with the LM head's product in float32, whatever it is held in: to compare words, not to train.

    bfloat16 keeps eight bits: logits between 16 and 32 are multiples of 1/8, so that words tie, and of words that tie
    argmax takes the first of the vocabulary. The head is read HEAD_ROWS words at a time, never held in float32 whole.
    """
    base = base_of(language_model)
    head, states = base.get_output_embeddings(), hidden.float()
    logits = states.new_empty(*states.shape[:-1], len(head.weight))
    with torch.autocast(hidden.device.type, enabled=False):
        for first in range(0, len(head.weight), HEAD_ROWS):
            rows = slice(first, first + HEAD_ROWS)
            bias = None if head.bias is None else head.bias[rows].float()
            logits[..., rows] = functional.linear(states, head.weight[rows].float(), bias)
    return _capped(base, logits)


def _capped(base: Any, logits: Tensor) -> Tensor:
    cap = getattr(base.config, "final_logit_softcapping", None)
    return logits if cap is None else cap * torch.tanh(logits / cap)


def words_of(language_model: Any) -> Tensor:
    """What the model reads for each token id: (vocabulary, d), the frozen embeddings as the first layer gets them.

    Gemma and Gemma 2 multiply by sqrt(d) where a word is looked up, not on the way into the first layer. So visual
    tokens, which are spliced in behind the look-up as in transformers' LLaVA, go in as the connector gives them:
    it must reach sqrt(d) times the scale of the stored weights, which is the scale that this returns.
    """
    embedding = language_model.get_input_embeddings()
    scale = getattr(embedding, "embed_scale", None)
    return embedding.weight if scale is None else embedding.weight * scale.to(embedding.weight.dtype)


def quicken(model: PreTrainedModel) -> PreTrainedModel:
    """Let every RMSNorm of *model* run as torch's one native operation instead of six; the same up to rounding.

    Norms of another formula (Gemma's 1 + weight, LayerNorm) are left as they are.
    """
    for module in model.modules():
        if type(module).__name__ in QUICKENED:
            module.forward = _native_rms_norm.__get__(module)
    return model


def _native_rms_norm(self: Any, hidden: Tensor) -> Tensor:
    return functional.rms_norm(hidden, self.weight.shape, self.weight, self.variance_epsilon)
