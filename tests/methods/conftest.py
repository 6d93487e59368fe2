"""Tiny random Llama and Phi models, and batches of text with pictures in it, for the tests of all methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PhiConfig, PhiForCausalLM

from steering.model.marks import Marks, board_of

IMAGE = 99
SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "vocab_size": 100,
    "initializer_range": 0.1,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def tiny(family: str, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The same random frozen model each time."""
    torch.manual_seed(0)
    if family == "llama":
        model: Any = LlamaForCausalLM(LlamaConfig(num_key_value_heads=2, **SIZES))
    else:
        model = PhiForCausalLM(PhiConfig(resid_pdrop=0.0, **SIZES))
    return model.to(dtype).requires_grad_(False).eval()


@dataclass(frozen=True)
class Text:
    """A batch whose pictures are runs of IMAGE; 0 pads."""

    ids: Tensor
    mask: Tensor
    marks: Marks

    def logits(self, model: nn.Module, **options: Any) -> Tensor:
        return self.forward(model, **options).logits

    def forward(self, model: nn.Module, **options: Any) -> Any:
        base: Any = model.get_base_model() if hasattr(model, "get_base_model") else model
        places = (self.mask.cumsum(1) - 1).clamp(min=0)
        with board_of(base).show(self.marks):
            return model(input_ids=self.ids, attention_mask=self.mask, position_ids=places, **options)

    def loss(self, model: nn.Module) -> Tensor:
        """Mean cross-entropy of the text that follows text: a picture's last token predicts nothing."""
        logits, present = self.logits(model)[:, :-1], self.mask.bool() & (self.ids != IMAGE)
        text = present[:, 1:] & present[:, :-1]
        return nn.functional.cross_entropy(logits[text].float(), self.ids[:, 1:][text])


def text(rows: list[list[int]], *, side: str = "right") -> Text:
    length = max(len(row) for row in rows)
    spare = [[0] * (length - len(row)) for row in rows]
    pad = [(row + gap if side == "right" else gap + row) for row, gap in zip(rows, spare, strict=True)]
    ids = torch.tensor(pad)
    visual = ids == IMAGE
    starts = visual & ~nn.functional.pad(visual, (1, 0))[:, :-1]
    picture = starts.cumsum(1) * visual
    present = ids != 0
    marks = Marks(picture, present & ~visual, torch.zeros_like(visual), torch.zeros_like(picture))
    return Text(ids, present.long(), marks)


ROWS = [
    [5, 6, *[IMAGE] * 16, 7, 8, 9, 10],
    [11, *[IMAGE] * 12, 12, *[IMAGE] * 5, 13, 14],
    [15, 16, 17, 18, 19, 20],
]
"""One picture of 16 tokens; two of 12 and 5; none."""


def stir(model: nn.Module, *, seed: int = 1) -> nn.Module:
    """Moves the trainable parameters away from their start, as training does."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.fixture(name="tiny")
def tiny_fixture() -> Callable[..., nn.Module]:
    return tiny


@pytest.fixture(name="text")
def text_fixture() -> Callable[..., Text]:
    return text


@pytest.fixture(name="stir")
def stir_fixture() -> Callable[..., nn.Module]:
    return stir


@pytest.fixture
def rows() -> list[list[int]]:
    return [list(row) for row in ROWS]
