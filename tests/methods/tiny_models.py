"""Tiny random Llama and Phi models, and batches of text with pictures in it, for the tests of all methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PhiConfig,
    PhiForCausalLM,
)

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


def llava(layers: int = 4) -> LlavaForConditionalGeneration:
    """The same stock LLaVA each time: *layers* in each part, 4 visual tokens (40) per picture."""
    torch.manual_seed(0)
    shared: dict[str, Any] = {"num_hidden_layers": layers, "num_attention_heads": 2, "initializer_range": 0.1}
    vision = CLIPVisionConfig(hidden_size=16, intermediate_size=24, image_size=8, patch_size=4, **shared)
    language = LlamaConfig(
        hidden_size=32, intermediate_size=48, vocab_size=50, pad_token_id=0, eos_token_id=2, bos_token_id=1, **shared
    )
    model = LlavaForConditionalGeneration(LlavaConfig(vision_config=vision, text_config=language, image_token_id=40))
    return model.requires_grad_(False).eval()


def shown_to_llava() -> dict[str, Tensor]:
    """Two questions about a picture each, the second padded on the left."""
    ids = torch.tensor([[3, *[40] * 4, 4, 5, 6], [0, 8, *[40] * 4, 9, 11]])
    pictures = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return {"input_ids": ids, "pixel_values": pictures, "attention_mask": (ids != 0).long()}


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
