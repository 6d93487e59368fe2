"""Every family of language models inside the composed model does what transformers alone does with it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import CLIPVisionConfig, LlavaConfig, LlavaForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutputWithPooling

from steering.data.collate import Batch, Sample, collate
from steering.data.templates import Turn
from steering.errors import DataError, SteeringError
from steering.evaluate.generate import answer
from steering.families import FAMILIES
from steering.model.composed import ComposedModel
from steering.model.connectors import build_connector
from steering.model.language import backbone_of, load_language_model, logits_at, quicken, words_of

WIDTH, VISUAL, WORDS = 8, 5, 264
PARTICULAR: dict[str, dict[str, Any]] = {
    "phi": {"resid_pdrop": 0.1, "embd_pdrop": 0.1, "attention_dropout": 0.1},
    "llama": {"attention_bias": True, "attention_dropout": 0.1},
    "qwen2": {"tie_word_embeddings": True, "attention_dropout": 0.1},
    "qwen3": {"head_dim": 12, "tie_word_embeddings": True},
    "gemma": {"head_dim": 12},
    "gemma2": {
        "head_dim": 12,
        "query_pre_attn_scalar": 10,
        "final_logit_softcapping": 2.0,
        "attn_logit_softcapping": 0.5,
        "sliding_window": 64,
    },
    "stablelm": {"use_qkv_bias": True, "hidden_dropout": 0.1},
}
NORMS = {"llama": 5, "qwen2": 5, "qwen3": 9}  # that can be quickened, of two layers
every = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture
def base(make_language_model: Callable) -> Callable[..., Any]:
    """A random causal LM of a family; its biases and norms are random too, for zeros and ones would hide faults."""

    def make(family: str, **sizes: Any) -> Any:
        model = make_language_model(family, **{**PARTICULAR[family], **sizes})
        chance = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "norm" in name or name.endswith("bias"):
                    weight.add_(torch.empty_like(weight).normal_(std=0.2, generator=chance))
        return model

    return make


@pytest.fixture
def composed(base: Callable) -> Callable[..., ComposedModel]:
    def make(family: str, **sizes: Any) -> ComposedModel:
        language_model = base(family, **sizes)
        torch.manual_seed(1)
        return ComposedModel(build_connector("mlp2_gelu", width=WIDTH, hidden=32), language_model)

    return make


def sample(number: int, *, questions: int = 1, answers: int = 3) -> Sample:
    """Random words and features; samples differ in length."""
    chance = torch.Generator().manual_seed(number)

    def words(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(1, WORDS, (count,), generator=chance).tolist())

    turns = tuple(Turn(words(3 + turn), words(answers + turn) if answers else ()) for turn in range(questions))
    return Sample(words(2 + number), turns, torch.randn(VISUAL, WIDTH, generator=chance))


def alone(shared: Sample) -> list[Sample]:
    return [Sample(shared.opening, (turn,), shared.features) for turn in shared.turns]


def stock(model: ComposedModel, batch: Batch, **options: Any) -> Any:
    """transformers' own causal LM on the same embeddings, with the masks and positions that it makes itself."""
    labels = batch.input_ids.masked_fill(~batch.marks.answer, -100)
    return model.language_model(inputs_embeds=model.splice(batch), labels=labels, use_cache=False, **options)


def gradients(model: ComposedModel, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(model.connector.parameters())))


@every
def test_the_loss_and_its_gradient_are_those_of_transformers(family: str, composed: Callable) -> None:
    model, batch = composed(family), collate([sample(1)])
    loss, tokens = model(batch)
    expected = stock(model, batch).loss
    assert tokens == 3
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-5)
    for ours, theirs in zip(gradients(model, loss), gradients(model, expected), strict=True):
        assert ours.abs().max() > 0
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_at_chosen_positions_are_those_of_transformers(
    family: str, dtype: torch.dtype, composed: Callable
) -> None:
    model, batch = composed(family), collate([sample(1)])
    language_model, words = model.language_model.to(dtype), model.splice(batch)
    hidden = backbone_of(language_model)(inputs_embeds=words).last_hidden_state
    assert torch.equal(logits_at(language_model, hidden), language_model(inputs_embeds=words).logits.float())


def test_gemma2_caps_its_logits(composed: Callable) -> None:
    model = composed("gemma2").language_model
    hidden = 100 * torch.randn(7, 32, generator=torch.Generator().manual_seed(0))
    assert logits_at(model, hidden).abs().max() <= 2 < model.lm_head(hidden).abs().max()


@every
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_gives_the_same_gradients(family: str, reentrant: bool, composed: Callable) -> None:
    model, batch = composed(family).train(), collate([sample(1, questions=2), sample(2)])
    loss, _ = model(batch)
    expected = gradients(model, loss)
    model.language_model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    loss, _ = model(batch)
    loss.backward()
    for parameter, value in zip(model.connector.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, value, rtol=1e-5, atol=1e-7)


@every
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_questions_packed_behind_one_picture_cost_what_they_cost_alone(
    family: str, attention: str, composed: Callable
) -> None:
    model, shared = composed(family), sample(1, questions=3)
    if (family, attention) != ("gemma2", "sdpa"):
        model.language_model.set_attn_implementation(attention)
    (packed, tokens), apart = model(collate([shared])), [stock(model, collate([one])).loss for one in alone(shared)]
    counts = torch.tensor([3.0, 4.0, 5.0])
    assert tokens == 12
    torch.testing.assert_close(packed, (torch.stack(apart) * counts).sum() / 12, rtol=0, atol=1e-5)


@every
def test_padding_on_either_side_is_not_seen(family: str, composed: Callable) -> None:
    model, samples = composed(family), [sample(1), sample(4, questions=2), sample(2)]
    right, left = collate(samples), collate(samples, pad_left=True)
    torch.testing.assert_close(model(left)[0], model(right)[0], rtol=0, atol=1e-5)
    hidden = [model.hidden(batch).last_hidden_state[batch.marks.answer] for batch in (left, right)]
    torch.testing.assert_close(*hidden, rtol=1e-4, atol=1e-4)


@every
@pytest.mark.parametrize("cached", [True, False])
def test_answers_are_those_of_generate(family: str, cached: bool, composed: Callable) -> None:
    model, shared = composed(family), sample(1, questions=2, answers=0)
    found = answer(model, collate([shared, sample(3, answers=0)]), max_new_tokens=6, closing=-1)
    for one, ids in zip([*alone(shared), sample(3, answers=0)], [*found[0], *found[1]], strict=True):
        embeddings = model.splice(collate([one]))
        expected = model.language_model.generate(
            inputs_embeds=embeddings,
            attention_mask=torch.ones(embeddings.shape[:2]),
            max_new_tokens=6,
            do_sample=False,
            use_cache=cached,
            eos_token_id=None,
            pad_token_id=0,
        )
        assert expected[0].tolist() == ids


@every
def test_bfloat16_stays_near_float32(family: str, composed: Callable) -> None:
    model, batch = composed(family), collate([sample(1, questions=2)])
    expected, half = model(batch)[0], copy.deepcopy(model)
    half.language_model.to(torch.bfloat16)
    loss, _ = half(batch)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=0.1, atol=0)
    assert all(gradient.isfinite().all() and gradient.abs().max() > 0 for gradient in gradients(half, loss))


@every
def test_a_saved_model_is_loaded_as_it_was(family: str, base: Callable, tmp_path: Any) -> None:
    saved, ids = base(family), torch.tensor([[5, 6, 7, 8, 9]])
    saved.save_pretrained(tmp_path)
    loaded = load_language_model(tmp_path, dtype="float32", attention="eager")
    torch.testing.assert_close(loaded(ids).logits, saved(ids).logits, rtol=1e-4, atol=1e-5)
    tied = loaded.get_output_embeddings().weight is loaded.get_input_embeddings().weight
    assert tied == saved.config.tie_word_embeddings
    assert not loaded.training and not any(weight.requires_grad for weight in loaded.parameters())


@every
def test_only_norms_of_llamas_formula_are_quickened(family: str, base: Callable) -> None:
    ids, model = torch.tensor([[5, 6, 7, 8, 9]]), base(family)
    expected = model(ids).logits
    quick = quicken(model)
    assert sum("forward" in vars(module) for module in quick.modules()) == NORMS.get(family, 0)
    torch.testing.assert_close(quick(ids).logits, expected, rtol=1e-4, atol=1e-5, msg=family)
    if family not in NORMS:
        assert torch.equal(quick(ids).logits, expected)


@every
def test_training_mode_is_the_same_function(family: str, base: Callable) -> None:
    ids, model = torch.tensor([[5, 6, 7, 8, 9]]), base(family)
    assert torch.equal(model.train()(ids).logits, model.eval()(ids).logits)


@every
def test_attention_is_eager_or_sdpa(family: str, base: Callable, tmp_path: Any) -> None:
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    base(family).save_pretrained(tmp_path)
    eager = load_language_model(tmp_path, dtype="float32", attention="eager")
    assert eager.config._attn_implementation == "eager"
    if family == "gemma2":
        with pytest.raises(SteeringError, match="attention: sdpa: gemma2 has none; allowed eager"):
            load_language_model(tmp_path, dtype="float32", attention="sdpa")
        return
    fused = load_language_model(tmp_path, dtype="float32", attention="sdpa")
    assert fused.config._attn_implementation == "sdpa"
    torch.testing.assert_close(fused(ids).logits, eager(ids).logits, rtol=1e-4, atol=1e-4)


def windowed(length: int) -> dict[str, Any]:
    return {"sliding_window": length, "use_sliding_window": True, "max_window_layers": 1}


@pytest.mark.parametrize("family", ["gemma2", "qwen2", "qwen3"])
def test_a_text_of_several_turns_longer_than_the_sliding_window_is_refused(family: str, composed: Callable) -> None:
    batch = collate([sample(1, questions=2)])
    length = batch.input_ids.shape[1]
    fits, short = composed(family, **windowed(length)), composed(family, **windowed(length - 1))
    assert fits(batch)[0].isfinite()
    with pytest.raises(DataError, match=rf"{length} positions; allowed {length - 1}, {family}'s sliding window"):
        short(batch)


@pytest.mark.parametrize("family", ["gemma2", "qwen2", "qwen3"])
def test_no_answer_is_decoded_past_the_sliding_window(family: str, composed: Callable) -> None:
    batch = collate([sample(1)])
    fits = composed(family, **windowed(batch.input_ids.shape[1]))
    torch.testing.assert_close(fits(batch)[0], stock(fits, batch).loss, rtol=0, atol=1e-5)
    with pytest.raises(DataError, match="sliding window"):
        answer(fits, batch, max_new_tokens=3, closing=-1)


@pytest.mark.parametrize("family", ["qwen2", "qwen3"])
def test_a_plainly_causal_row_may_be_longer_than_the_sliding_window(family: str, composed: Callable) -> None:
    """A fused kernel takes no mask of ours there, so transformers applies the window itself."""
    batch = collate([sample(1)])
    short, whole = composed(family, **windowed(4)), composed(family)
    torch.testing.assert_close(short(batch)[0], stock(short, batch).loss, rtol=0, atol=1e-5)
    assert not torch.isclose(short(batch)[0], whole(batch)[0])


def test_a_base_without_a_window_has_no_hook(base: Callable) -> None:
    for family in ("llama", "phi", "qwen2", "qwen3", "gemma", "stablelm"):
        assert not base(family).model._forward_pre_hooks


@every
def test_words_are_what_the_first_layer_reads(family: str, base: Callable) -> None:
    model, ids = base(family), torch.arange(WORDS)
    assert torch.equal(words_of(model)[ids], model.get_input_embeddings()(ids))
    scaled = 32**0.5 if family.startswith("gemma") else 1.0
    torch.testing.assert_close(words_of(model).std() / model.get_input_embeddings().weight.std(), torch.tensor(scaled))


@every
def test_visual_tokens_go_in_as_in_transformers_llava(family: str, base: Callable) -> None:
    """LLaVA of transformers around the same decoder reads the same words and pictures to the same states."""
    language_model, one = base(family), sample(1, answers=0)
    model = ComposedModel(build_connector("identity", width=32, hidden=32), language_model)
    picture = torch.randn(VISUAL, 32, generator=torch.Generator().manual_seed(3))
    batch = collate([Sample(one.opening, one.turns, picture)])
    vision = CLIPVisionConfig(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    text = language_model.config
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_id=WORDS - 1)  # type: ignore[arg-type]
    llava = LlavaForConditionalGeneration(config)
    llava.model.language_model = language_model.model
    found = llava.model(
        input_ids=batch.input_ids.masked_fill(batch.marks.visual, WORDS - 1),
        mm_encoder_outputs={"image": BaseModelOutputWithPooling(pooler_output=[picture])},
    )
    torch.testing.assert_close(model.hidden(batch).last_hidden_state, found.last_hidden_state, rtol=1e-4, atol=1e-5)
