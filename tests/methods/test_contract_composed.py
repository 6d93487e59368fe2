"""What every method promises inside the composed model: three families of language model, three kinds of encoder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from contract import (
    CLOSING,
    COMPOSED,
    FAMILIES,
    MORES,
    PAIRS,
    RECIPE,
    TALKS,
    alone,
    bare_composed,
    composed,
    conversation,
    gradients,
    language_model,
    loss,
    talks,
    trainable,
    vision_shape,
)
from tiny_models import IMAGE, stir
from torch import Tensor, nn

from steering.arms import LanguageShape
from steering.data.collate import Batch, collate
from steering.data.templates import Turn
from steering.evaluate.generate import answer
from steering.methods import METHODS, attach
from steering.methods.adapters import load_adapter, save_adapter
from steering.methods.sites import decoder_layers
from steering.model.composed import ComposedModel
from steering.train.optimiser import build_optimiser, trained_by_part

every = pytest.mark.parametrize("arm", COMPOSED)
families = pytest.mark.parametrize("family", FAMILIES)
pairs = pytest.mark.parametrize(("family", "kind"), [pytest.param(*pair, id="-".join(pair)) for pair in PAIRS])
mores = pytest.mark.parametrize("arm", MORES)


def size(tensors: Any) -> int:
    return sum(tensor.numel() for tensor in tensors)


def answers(model: ComposedModel, batch: Batch) -> list[list[list[int]]]:
    return answer(model.eval(), batch, max_new_tokens=4, closing=CLOSING)


@torch.no_grad()
def answered(model: ComposedModel, batch: Batch) -> list[Tensor]:
    """The last hidden states of each answer, sample by sample and question by question."""
    hidden, marks = model.hidden(batch, use_cache=False).last_hidden_state, batch.marks
    return [
        hidden[row][marks.answer[row] & (marks.block[row] == number)]
        for row in range(len(hidden))
        for number in range(1, int(marks.block[row].max()) + 1)
    ]


def close(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_every_method_of_the_registry_is_tested_composed() -> None:
    assert {arm.method for arm in COMPOSED.values()} == set(METHODS)


@pairs
@every
def test_a_step_moves_the_connector_and_the_methods_own_and_nothing_else(arm: str, family: str, kind: str) -> None:
    model, _ = composed(arm, family, kind)
    parts, shapes = trained_by_part(model), (LanguageShape.of(model.config), vision_shape(kind))
    assert size(parts["method"].values()) == COMPOSED[arm].trainable(*shapes) and not parts["encoder"]
    before = {name: tensor.clone() for name, tensor in model.state_dict(keep_vars=False).items()}
    optimiser, _ = build_optimiser(model.train(), RECIPE)
    model(collate(talks(arm, kind)))[0].backward()
    optimiser.step()
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    still = {name for name in trainable(model) if name not in moved}
    assert moved - {"language_model.lm_head.weight"} <= set(trainable(model))
    assert set(parts["connector"]) <= moved and len(parts["connector"]) == 4
    assert size(before[name] for name in still) == COMPOSED[arm].dead(*shapes)


def counted(model: ComposedModel) -> Counter[int]:
    """How often the inside of each decoder layer runs from now on."""
    calls: Counter[int] = Counter()
    layer: Any
    for number, layer in enumerate(decoder_layers(model.language_model)):
        layer.input_layernorm.register_forward_pre_hook(lambda *_, number=number: calls.update([number]))
    return calls


@every
@families
@pytest.mark.parametrize("reentrant", [True, False])
def test_recomputed_layers_give_the_same_gradients(arm: str, family: str, reentrant: bool) -> None:
    found = []
    for checkpointed in (False, True):
        model, _ = composed(arm, family)
        calls = counted(model)
        if checkpointed:
            model.language_model.gradient_checkpointing_enable({"use_reentrant": reentrant})
        model.train()(collate(talks(arm)))[0].backward()
        assert calls == {0: 1 + checkpointed, 1: 1 + checkpointed}  # train mode: else no layer is recomputed
        found.append(gradients(model))
    assert found[0].keys() == found[1].keys() == trainable(model).keys()
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-5, atol=1e-7)


@mores
@pytest.mark.parametrize("reentrant", [True, False])
def test_mores_learns_where_layers_are_recomputed(arm: str, reentrant: bool) -> None:
    model, _ = composed(arm)
    model.connector.requires_grad_(False)
    model.language_model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    optimiser, _ = build_optimiser(model.train(), RECIPE)
    before = {name: parameter.detach().clone() for name, parameter in trainable(model).items()}
    losses, calls = [], counted(model)
    for _ in range(RECIPE.steps):
        found, _ = model(collate(talks(arm)))
        optimiser.zero_grad()
        found.backward()
        losses.append(float(found.detach()))
        zero = {name for name, value in gradients(model).items() if value.abs().max() == 0}
        assert zero == {name for name in before if ".layers.1." in name and arm != "mores_live"}
        optimiser.step()
    assert losses[-1] < losses[0]
    assert calls[1] == 2 * RECIPE.steps
    moved = {name for name, parameter in trainable(model).items() if not torch.equal(parameter, before[name])}
    assert moved == set(before) - zero and len(moved) == {"mores": 3, "mores_live": 6, "mores_untied": 4}[arm]


@families
@every
def test_a_bfloat16_model_learns_with_float32_parameters(arm: str, family: str) -> None:
    model, _ = composed(arm, family, dtype=torch.bfloat16)
    found, _ = model.train()(collate(talks(arm)))
    found.backward()
    assert found.dtype == torch.float32 and found.isfinite()
    assert all(parameter.dtype == torch.float32 for parameter in trainable(model).values())
    assert gradients(model).keys() == trainable(model).keys()
    assert all(value.isfinite().all() for value in gradients(model).values())
    zero = size(value for value in gradients(model).values() if value.abs().max() == 0)
    assert zero == COMPOSED[arm].dead(LanguageShape.of(model.config), vision_shape("clip"))
    assert answers(model, collate(talks(arm, answers=False)))


@pairs
@every
def test_padding_sides_and_batches_of_none_and_one_picture_agree_with_single(arm: str, family: str, kind: str) -> None:
    model, _ = composed(arm, family, kind)
    samples, questions = talks(arm, kind), talks(arm, kind, answers=False)
    right, left = collate(samples), collate(samples, pad_left=True)
    assert right.marks.visual.any(1).tolist() == [True, False, True]
    single = [states for one in samples for states in answered(model, collate([one]))]
    for batch in (right, left):
        close(answered(model, batch), single)
    with torch.no_grad():
        close(model(left)[0], model(right)[0])
    said = [answers(model, collate([one]))[0] for one in questions]
    assert said == answers(model, collate(questions)) == answers(model, collate(questions, pad_left=True))


@pytest.mark.parametrize("arm", [name for name in COMPOSED if name != "mrt"])
def test_none_one_and_three_pictures_in_one_batch_are_as_each_alone(arm: str) -> None:
    model = stir(attach(language_model("llama", layers=2), COMPOSED[arm], seed=0))
    three = [5, *[IMAGE] * 6, 6, *[IMAGE] * 11, 7, *[IMAGE] * 3, 8, 9, 10, 21, 22]
    rows = [TALKS[2], TALKS[0], three]
    batch = conversation(rows)
    assert batch.marks.picture.amax(1).tolist() == [0, 1, 3]
    with torch.no_grad():
        for side in ("right", "left"):
            together = conversation(rows, side=side)
            states = together.logits(model)[together.mask.bool()].split([len(row) for row in rows])
            close(states, tuple(conversation([row]).logits(model)[0] for row in rows))


@pairs
@every
def test_questions_packed_behind_a_picture_are_as_asked_alone(arm: str, family: str, kind: str) -> None:
    model, _ = composed(arm, family, kind)
    packed = talks(arm, kind)[2]
    by_itself = [answered(model, batch)[0] for batch in alone(packed)]
    close(answered(model, collate([packed])), by_itself)
    assert len({float(states[0, 0]) for states in by_itself}) == 3
    asked = talks(arm, kind, answers=False)[2]
    assert answers(model, collate([asked]))[0] == [answers(model, batch)[0][0] for batch in alone(asked)]


@torch.no_grad()
def said_uncached(model: ComposedModel, sample: Any, turn: Turn) -> list[int]:
    """The answer to *turn* with everything computed afresh for every token."""
    said: list[int] = []
    while len(said) < 4:
        (batch,) = alone(type(sample)(**vars(sample) | {"turns": (Turn(turn.question, tuple(said)),)}))
        hidden = model.hidden(batch, use_cache=False).last_hidden_state[0, -1:]
        said.append(int(model.logits(hidden).argmax()))
    return said[: said.index(CLOSING)] if CLOSING in said else said


@pairs
@every
def test_cached_answers_are_those_computed_afresh_for_every_token(arm: str, family: str, kind: str) -> None:
    model, _ = composed(arm, family, kind)
    samples = talks(arm, kind, answers=False)
    expected = [[said_uncached(model.eval(), one, turn) for turn in one.turns] for one in samples]
    assert answers(model, collate(samples)) == expected


@families
@mores
def test_text_alone_is_bit_identical_to_the_base_for_mores(arm: str, family: str) -> None:
    words = [talks(arm)[1], talks(arm)[1]]
    batch, (model, _), base = collate(words), composed(arm, family), bare_composed(arm, family)
    with torch.no_grad():
        assert torch.equal(model(batch)[0], base(batch)[0])
        states = [one.hidden(batch, use_cache=False).last_hidden_state for one in (model, base)]
        assert torch.equal(*states)
        assert not torch.equal(model(collate(talks(arm)))[0], base(collate(talks(arm)))[0])
    asked = collate(talks(arm, answers=False)[1:2])
    assert answers(model, asked) == answers(base, asked)


@families
@mores
def test_text_alone_is_bit_identical_to_the_bare_base_for_mores(arm: str, family: str) -> None:
    steered = stir(attach(language_model(family, layers=2), COMPOSED[arm], seed=0))
    words, base = conversation(TALKS[2:]), language_model(family, layers=2)
    with torch.no_grad():
        assert torch.equal(words.logits(steered), words.logits(base))
        assert not torch.equal(loss(steered, conversation()), loss(base, conversation()))


@pairs
@every
def test_a_saved_adapter_gives_the_same_loss_and_answers_in_a_fresh_model(
    arm: str, family: str, kind: str, tmp_path: Path
) -> None:
    model, adapted = composed(arm, family, kind)
    save_adapter(adapted, tmp_path / "adapter", base_hash="abc")
    fresh: ComposedModel = bare_composed(arm, family, kind)
    batch, asked = collate(talks(arm, kind)), collate(talks(arm, kind, answers=False))
    with torch.no_grad():
        expected, without = model.eval()(batch)[0], fresh(batch)[0]
        loaded: nn.Module = load_adapter(fresh, tmp_path / "adapter", base_hash="abc")
        assert torch.equal(fresh.eval()(batch)[0], expected)
        assert torch.equal(expected, without) == (arm == "none")
    assert not any(parameter.requires_grad for parameter in loaded.parameters() if loaded is not fresh)
    assert answers(fresh, asked) == answers(model, asked)
