"""Tiny random parts for all tests: tokenizer, language models of two families, whole models; small params and plans."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from steering.arms import NoneSettings
from steering.errors import ParamsError
from steering.methods import attach
from steering.model.composed import ComposedModel
from steering.model.connectors import build_connector
from steering.model.language import build_language_model
from steering.params import Params, load
from steering.plan import Plan
from tests.params_text import TINY, Change
from tests.plan_slices import TEXT

SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|endoftext|>"]
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 264,
    "initializer_range": 0.2,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}


def make_tokenizer(form: str = "$A") -> PreTrainedTokenizerBase:
    """One token per byte and one per special token; *form* says what surrounds a text, "<s> $A" for instance."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    letters = Tokenizer(models.BPE(vocab={byte: number for number, byte in enumerate(alphabet)}, merges=[]))
    letters.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters.decoder = decoders.ByteLevel()
    letters.add_special_tokens(SPECIAL)
    letters.post_processor = processors.TemplateProcessing(
        single=form, special_tokens=[(token, letters.token_to_id(token)) for token in SPECIAL]
    )
    return PreTrainedTokenizerFast(tokenizer_object=letters)


def make_language_model(family: str = "llama", *, seed: int = 0, **sizes: Any) -> Any:
    """The same frozen random model for the same *seed*; *sizes* go over the tiny ones."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_language_model({"model_type": family, **SIZES, **sizes})


def make_model(arm: Any = None, *, family: str = "llama", width: int = 8, seed: int = 0) -> ComposedModel:
    """A composed model with the method of the settings *arm*; equal seeds give equal models."""
    with torch.random.fork_rng():
        torch.manual_seed(seed + 1)
        connector = build_connector("mlp2_gelu", width=width, hidden=SIZES["hidden_size"])
    return ComposedModel(connector, attach(make_language_model(family, seed=seed), arm or NoneSettings(), seed=seed))


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerBase:
    return make_tokenizer()


@pytest.fixture(scope="session", name="make_tokenizer")
def make_tokenizer_fixture() -> Callable[..., PreTrainedTokenizerBase]:
    return make_tokenizer


@pytest.fixture(scope="session", name="make_language_model")
def make_language_model_fixture() -> Callable[..., Any]:
    return make_language_model


@pytest.fixture(scope="session", name="make_model")
def make_model_fixture() -> Callable[..., ComposedModel]:
    return make_model


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[..., Params]:
    """The params of TINY after *changes*, each a text and what replaces its first occurrence."""

    def loading(*changes: Change) -> Params:
        text = TINY
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
        return load(tmp_path / "params.yaml")

    return loading


@pytest.fixture
def faults(loaded: Callable[..., Params]) -> Callable[..., list[str]]:
    def finding(*changes: Change) -> list[str]:
        with pytest.raises(ParamsError) as caught:
            loaded(*changes)
        return [fault.split("params.yaml: ", 1)[1] for fault in caught.value.faults]

    return finding


@pytest.fixture
def planned(tmp_path: Path) -> Callable[..., Plan]:
    """The plan of example.yaml, or of another text."""

    def planning(text: str = TEXT) -> Plan:
        (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
        return Plan(load(tmp_path / "params.yaml"))

    return planning
