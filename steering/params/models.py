"""The parts a world is made of, as params.yaml tells them: sources, language models, vision encoders."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from steering.arms import LanguageShape, VisionShape

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]*$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Md5 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Address = Annotated[str, StringConstraints(pattern=r"^https?://[^/]+/")]


def absent(value: Any) -> bool:
    return value is None


def nothing(value: Any) -> bool:
    return not value


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PypiSource(Part):
    """A wheel of the Python package index, by version and checksum."""

    kind: Literal["pypi"]
    package: str
    version: str
    sha256: Sha256
    licence: str
    attribution: str


class HttpSource(Part):
    """One file behind an address; without a checksum that of the first fetch is recorded and held to.

    bytes: its size where known; about_bytes: roughly, for a list before the fetch.  file: the name to keep, for
    addresses that tell none.  parts: parallel transfers.
    """

    kind: Literal["http"]
    url: Address
    sha256: Sha256 | None = Field(None, exclude_if=absent)
    md5: Md5 | None = Field(None, exclude_if=absent)
    bytes: int | None = Field(None, ge=0, exclude_if=absent)
    about_bytes: int | None = Field(None, ge=0, exclude_if=absent)
    file: str | None = Field(None, exclude_if=absent)
    mirrors: list[Address] = Field([], exclude_if=nothing)
    parts: int | None = Field(None, ge=1, le=16, exclude_if=absent)
    licence: str
    attribution: str


class HubSource(Part):
    """Files of a Hugging Face repository at a commit; bytes: of all together, for a list before the fetch."""

    kind: Literal["hub"]
    repo: Annotated[str, StringConstraints(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
    files: list[str] = Field(min_length=1)
    repo_type: Literal["model", "dataset"] = "model"
    bytes: int | None = Field(None, ge=0, exclude_if=absent)
    licence: str
    attribution: str


class ManualSource(Part):
    """A file, or a folder of files, that a person puts into downloads/NAME by hand; url: where it is to be had.

    file: the name it is put there under.  Without a checksum that of the first time is recorded and held to.
    """

    kind: Literal["manual"]
    url: Address
    file: str
    sha256: Sha256 | None = Field(None, exclude_if=absent)
    md5: Md5 | None = Field(None, exclude_if=absent)
    bytes: int | None = Field(None, ge=0, exclude_if=absent)
    about_bytes: int | None = Field(None, ge=0, exclude_if=absent)
    licence: str
    attribution: str


Source = Annotated[PypiSource | HttpSource | HubSource | ManualSource, Field(discriminator="kind")]
"""Something fetched once, checked, and named where it is used."""


class LanguageConfig(BaseModel):
    """transformers' configuration: the sizes that parameter counts need, and whatever else transformers takes."""

    model_config = ConfigDict(extra="allow", frozen=True)

    model_type: Literal["phi", "llama", "qwen2", "qwen3", "gemma", "gemma2", "stablelm"]
    hidden_size: int = Field(ge=1)
    num_hidden_layers: int = Field(ge=1)
    num_attention_heads: int = Field(ge=1)
    num_key_value_heads: int | None = Field(None, ge=1, exclude_if=absent)
    intermediate_size: int = Field(ge=1)
    vocab_size: int = Field(ge=1)


class LanguageModel(Part):
    """A causal LM: where its weights are and its transformers config; `attention` is transformers' name.

    quantise: "4bit" loads the frozen weights in NF4 through bitsandbytes, on a GPU.
    """

    source: Name | None = None
    member: str | None = None
    config: LanguageConfig
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    attention: Literal["eager", "sdpa", "flash_attention_2"] = "sdpa"
    quantise: Literal["4bit"] | None = Field(None, exclude_if=absent)

    @model_validator(mode="after")
    def _capped(self) -> LanguageModel:
        if self.config.model_type == "gemma2" and self.attention == "sdpa":
            raise ValueError("attention sdpa, which cannot cap Gemma 2's attention scores; allowed: eager")
        return self

    @property
    def shape(self) -> LanguageShape:
        return LanguageShape.of(self.config)


EncoderKind = Literal["efficientnet_lite0", "clip", "siglip", "dinov2", "side_by_side"]

EFFICIENTNET_LITE0 = (16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112, 192, 192, 192, 192, 320)
"""Channels behind each block."""


class VisionEncoder(Part):
    """A vision encoder; `tokens` visual tokens per picture, each `width` features wide.

    parts: the encoders that stand side by side; each gives as many tokens, their features are joined.
    """

    kind: EncoderKind
    source: Name | None = None
    member: str | None = None
    config: dict[str, Any] = {}
    parts: list[Name] = Field([], exclude_if=nothing)
    tokens: int = Field(ge=1)
    width: int = Field(ge=1)

    @model_validator(mode="after")
    def _joined(self) -> VisionEncoder:
        if (self.kind == "side_by_side") != bool(self.parts):
            raise ValueError(f"kind {self.kind} with parts {self.parts}; allowed: parts for side_by_side alone")
        return self

    @property
    def shape(self) -> VisionShape:
        """Sizes for parameter counts; encoders side by side have no layers in common, so none."""
        if self.kind == "efficientnet_lite0":
            layers = EFFICIENTNET_LITE0
        else:
            layers = (self.config.get("hidden_size", self.width),) * self.config.get("num_hidden_layers", 0)
        return VisionShape(tokens=self.tokens, width=self.width, layers=layers)
