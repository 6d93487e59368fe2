"""OFT through PEFT: true rotations of the inputs of q, k and v."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from contract import conversation, language_model

from steering.arms import LanguageShape, OftSettings
from steering.errors import ParamsError
from steering.methods import attach


def rotations(model: torch.nn.Module) -> dict[str, Any]:
    return {name: module for name, module in model.named_modules() if type(module).__name__ == "OFTRotationModule"}


@pytest.mark.parametrize("family", ["llama", "phi"])
def test_it_sits_on_q_k_and_v_of_every_layer(family: str) -> None:
    names = {name.split(".oft_R")[0].split(".layers.")[1] for name in rotations(attached(family))}
    assert names == {f"{layer}.self_attn.{part}_proj" for layer in range(4) for part in "qkv"}


def attached(family: str = "llama", **settings: Any) -> torch.nn.Module:
    return attach(language_model(family), OftSettings(**{"blocks": 4, **settings}), seed=0)


def test_each_target_has_as_many_blocks_whatever_its_width() -> None:
    model = attached(targets=["q_proj", "down_proj"])
    sizes = {(module.r, module.block_size) for module in rotations(model).values()}
    assert sizes == {(4, 16), (4, 24)}


def test_peft_stores_half_of_a_block_where_the_papers_count_all_of_it() -> None:
    model = attached()
    shape = LanguageShape.of(model.config)
    stored = sum(value.numel() for value in model.parameters() if value.requires_grad)
    full = sum(module.r * module.block_size**2 for module in rotations(model).values())
    assert stored == OftSettings(blocks=4).trainable(shape, None) == 4 * 3 * 4 * 16 * 15 // 2  # type: ignore[arg-type]
    assert full == OftSettings(blocks=4).papers_count(shape, None) == 4 * 3 * 4 * 16 * 16  # type: ignore[arg-type]


def test_far_from_its_start_it_is_still_orthogonal(stir: Callable) -> None:
    model = attached(blocks=1)
    for seed in range(5):
        stir(model, seed=seed)
    matrix = next(iter(rotations(model).values())).get_weight()
    assert (matrix - torch.eye(64)).abs().max() > 0.5
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(64), rtol=0, atol=1e-4)


def test_it_starts_as_the_base_model() -> None:
    torch.testing.assert_close(
        conversation().logits(attached()), conversation().logits(language_model("llama")), rtol=1e-5, atol=1e-6
    )


def test_blocks_that_do_not_divide_the_width_are_refused_and_the_model_is_as_it_was() -> None:
    model = language_model("llama")
    with pytest.raises(ParamsError, match="blocks: 7 does not divide 64 into blocks"):
        attach(model, OftSettings(blocks=7), seed=0)
    assert not rotations(model)
