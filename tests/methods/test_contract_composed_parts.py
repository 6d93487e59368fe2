"""Every other part of the factory with one weight method and one edit method, and methods in compiled models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from contract import (
    CLOSING,
    COMPOSED,
    FAMILIES,
    MORES,
    OTHER_CONNECTORS,
    OTHER_ENCODERS,
    OTHER_FAMILIES,
    alone,
    bare_composed,
    composed,
    gradients,
    talks,
    trainable,
)
from torch import Tensor

from steering.arms import LanguageShape, VisionShape
from steering.data.collate import Batch, collate
from steering.evaluate.generate import answer
from steering.methods.adapters import load_adapter, save_adapter
from steering.model.composed import ComposedModel
from steering.model.language import backbone_of
from steering.train.optimiser import trained_by_part

PARTS = (
    [{"family": family} for family in OTHER_FAMILIES]
    + [{"kind": kind} for kind in OTHER_ENCODERS]
    + [{"connector": connector} for connector in OTHER_CONNECTORS]
)
VISION = VisionShape(tokens=16, width=16)
EDITS = [name for name in COMPOSED if COMPOSED[name].method in ("mores", "mrt", "loreft")]


@pytest.mark.parametrize("arm", ["lora", "mores"])
@pytest.mark.parametrize("part", PARTS, ids=lambda part: "".join(part.values()))
def test_every_other_part_learns_answers_and_is_loaded_again(arm: str, part: dict[str, Any], tmp_path: Path) -> None:
    model, adapted = composed(arm, **part)
    batch, asked = collate(talks(arm, **_pictures(part))), collate(talks(arm, answers=False, **_pictures(part)))
    expected, tokens = model.train()(batch)
    expected.backward()
    assert tokens == 11 and expected.isfinite()
    assert gradients(model).keys() == trainable(model).keys()
    assert bool(trained_by_part(model)["connector"]) == (part.get("connector") != "identity")
    zero = sum(value.numel() for value in gradients(model).values() if value.abs().max() == 0)
    assert zero == COMPOSED[arm].dead(LanguageShape.of(model.config), VISION)
    said = answer(model.eval(), asked, max_new_tokens=4, closing=CLOSING)
    by_itself = [b for one in talks(arm, answers=False, **_pictures(part)) for b in alone(one)]
    assert [ids for row in said for ids in row] == [
        answer(model, b, max_new_tokens=4, closing=CLOSING)[0][0] for b in by_itself
    ]
    save_adapter(adapted, tmp_path / "adapter", base_hash="abc")
    fresh = bare_composed(arm, **part)
    with torch.no_grad():
        assert not torch.equal(fresh(batch)[0], model(batch)[0])
        load_adapter(fresh, tmp_path / "adapter", base_hash="abc")
        assert torch.equal(fresh.eval()(batch)[0], model(batch)[0])
    assert answer(fresh, asked, max_new_tokens=4, closing=CLOSING) == said


def _pictures(part: dict[str, Any]) -> dict[str, Any]:
    """What of *part* decides about pictures and their places."""
    return {key: value for key, value in part.items() if key != "family"}


def learnt(model: ComposedModel, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss and gradients."""
    model.zero_grad()
    loss, _ = model.train()(batch)
    loss.backward()
    return loss.detach(), {name: value.clone() for name, value in gradients(model).items()}


@pytest.fixture
def compiled() -> Any:
    """Compiles the decoder of a composed model in place."""

    def compile_decoder(model: ComposedModel, *, fullgraph: bool) -> ComposedModel:
        backbone_of(model.language_model).compile(backend="aot_eager", fullgraph=fullgraph)
        return model

    torch.compiler.reset()
    yield compile_decoder
    torch.compiler.reset()


@pytest.mark.parametrize("arm", COMPOSED)
def test_a_compiled_language_model_gives_the_same_loss_and_gradients(arm: str, compiled: Any) -> None:
    """In whole graphs: edits work their positions out ahead of the pass, from marks never seen before."""
    model, _ = composed(arm)
    batches = [collate(talks(arm), pad_left=left) for left in (False, True)]
    expected = [learnt(model, batch) for batch in batches]
    compiled(model, fullgraph=True)
    for batch, (loss, found) in zip(
        [collate(talks(arm), pad_left=left) for left in (False, True)], expected, strict=True
    ):
        again = learnt(model, batch)
        torch.testing.assert_close(again, (loss, found), rtol=1e-4, atol=1e-6)
        assert any(value.abs().max() > 0 for value in again[1].values())


@pytest.mark.parametrize(
    ("arm", "family"),
    [(arm, "llama") for arm in MORES] + [("mores", family) for family in FAMILIES if family != "llama"],
)
def test_mores_is_one_graph_on_every_family(arm: str, family: str, compiled: Any) -> None:
    model, _ = composed(arm, family)
    batch = collate(talks(arm))
    expected = learnt(model, batch)
    torch.testing.assert_close(learnt(compiled(model, fullgraph=True), batch), expected, rtol=1e-4, atol=1e-6)
