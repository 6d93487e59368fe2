"""The sizes of a model from which parameter counts follow in closed form, without torch."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from steering.errors import nearest
from steering.families import FAMILIES, Family


class LanguageShape(BaseModel):
    """A language model's sizes; `family` is transformers' model_type, `head_dim` as a rule hidden / heads.

    tied: the LM head is the embedding.  qkv_bias: what the configuration says where a family leaves it open.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    family: str
    hidden: int
    layers: int
    ffn: int
    heads: int
    kv_heads: int
    vocabulary: int
    head_dim: int | None = None
    tied: bool = False
    qkv_bias: bool = False

    @field_validator("family")
    @classmethod
    def _known(cls, family: str) -> str:
        if family not in FAMILIES:
            raise ValueError(f"{family} is unknown; allowed {', '.join(FAMILIES)}{nearest(family, FAMILIES)}")
        return family

    @classmethod
    def of(cls, config: Any) -> LanguageShape:
        """The sizes in a transformers configuration, or in anything with its names. ValueError for another family."""
        return cls(
            family=config.model_type,
            hidden=config.hidden_size,
            layers=config.num_hidden_layers,
            ffn=config.intermediate_size,
            heads=config.num_attention_heads,
            kv_heads=getattr(config, "num_key_value_heads", None) or config.num_attention_heads,
            vocabulary=config.vocab_size,
            head_dim=getattr(config, "head_dim", None),
            tied=bool(getattr(config, "tie_word_embeddings", False)),
            qkv_bias=bool(getattr(config, "use_qkv_bias", False)),
        )

    @property
    def parts(self) -> Family:
        return FAMILIES[self.family]

    @property
    def head_width(self) -> int:
        return self.head_dim or self.hidden // self.heads

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """Name of each linear of one decoder layer with its (inputs, outputs)."""
        query, key = self.heads * self.head_width, self.kv_heads * self.head_width
        widths = ((self.hidden, query), (self.hidden, key), (self.hidden, key), (query, self.hidden))
        *up, down = self.parts.feed_forward
        forward = {name: (self.hidden, self.ffn) for name in up} | {down: (self.ffn, self.hidden)}
        return dict(zip(self.parts.attention, widths, strict=True)) | forward

    @property
    def parameters(self) -> int:
        """Every weight of the language model."""
        parts, linears = self.parts, self.linears
        biased = parts.biased | (frozenset(parts.attention[:3]) if self.qkv_bias else frozenset())
        weights = sum(inputs * outputs for inputs, outputs in linears.values())
        biases = sum(linears[name][1] for name in biased)
        norms = parts.layer_norms * self.hidden + parts.head_norms * self.head_width
        words = self.vocabulary * self.hidden * (1 if self.tied else 2) + parts.head_bias * self.vocabulary
        return self.layers * (weights + biases + norms) + words + parts.final_norms * self.hidden


class VisionShape(BaseModel):
    """A vision encoder's sizes: visual tokens per picture, features per token, and the width of each layer's output."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokens: int
    width: int
    layers: tuple[int, ...] = ()
