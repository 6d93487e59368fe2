"""Continuations that share a context are weighed as lm-evaluation-harness weighs each by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from steering.arms import LoraSettings, LoreftSettings, MoresSettings, NoneSettings
from steering.data.collate import Sample, collate
from steering.data.templates import Scribe, Turn, template_named
from steering.errors import DataError
from steering.evaluate.likelihood import Request, encode_pair
from steering.evaluate.weigh import Weighed, weigh
from steering.model.composed import ComposedModel

ARMS = [
    NoneSettings(),
    LoraSettings(rank=4, alpha=8),
    MoresSettings(rank=2),
    LoreftSettings(rank=2, first_tokens=2, last_tokens=3),
]
REQUESTS = [
    Request("She opens the door", (" and leaves", " of", " with a key of iron", " x")),
    Request("Two and two is", (" 3", " 4", " 5", " 6")),
    Request("A blank follows ", ("one", "three words here")),
]


def stirred(model: ComposedModel) -> ComposedModel:
    """*model* with its trainable parameters moved away from their start, as training does."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


@pytest.fixture
def encode(tokenizer: Any) -> Callable[[str], list[int]]:
    return Scribe(tokenizer, template_named("vicuna")).bare


def chance(logits: Tensor, continuation: Sequence[int]) -> float:
    """Of the tokens that end a text, from the logits (t, vocabulary) at each of its tokens but the last."""
    ends = logits[-len(continuation) :].log_softmax(-1)
    return float(sum(row[token] for row, token in zip(ends, continuation, strict=True)))


@torch.no_grad()
def one_by_one(model: ComposedModel, request: Request, encode: Callable, *, window: int | None = None) -> list[float]:
    """The harness's rule: one full pass a continuation, cut to the last window + 1 tokens, the last one not read."""
    found = []
    for text in request.continuations:
        context, continuation = encode_pair(encode, request.context, text)
        whole = (context + continuation)[-(window + 1) :] if window else context + continuation
        turn = Turn(tuple(whole[: -len(continuation)]), tuple(whole[-len(continuation) : -1]))
        hidden = model.hidden(collate([Sample((), (turn,))]), use_cache=False).last_hidden_state[0]
        found.append(chance(model.logits(hidden), continuation))
    return found


def compared(found: Sequence[Weighed], expected: Sequence[Sequence[float]]) -> None:
    for one, values in zip(found, expected, strict=True):
        assert one.loglikelihoods == pytest.approx(values, abs=1e-4)
        assert one.loglikelihoods.index(max(one.loglikelihoods)) == list(values).index(max(values))


@pytest.mark.parametrize("settings", ARMS, ids=lambda arm: arm.method)
@pytest.mark.parametrize("family", ["llama", "phi"])
def test_shared_contexts_are_weighed_as_full_passes(
    settings: Any, family: str, make_model: Callable, encode: Callable
) -> None:
    model = stirred(make_model(settings, family=family))
    found = weigh(model, REQUESTS, encode)
    compared(found, [one_by_one(model, request, encode) for request in REQUESTS])
    assert len({round(value, 3) for one in found for value in one.loglikelihoods}) > 8
    assert [one.cut for one in found] == [0, 0, 0]


def test_a_context_is_edited_as_the_prompt_that_it_is(make_model: Callable, encode: Callable) -> None:
    bare, edited = (weigh(stirred(make_model(arm)), REQUESTS, encode) for arm in (ARMS[0], ARMS[3]))
    assert bare[0].loglikelihoods != pytest.approx(edited[0].loglikelihoods, abs=1e-2)


@torch.no_grad()
def test_the_values_are_those_of_transformers(make_model: Callable, encode: Callable) -> None:
    model = make_model().eval()
    for request, one in zip(REQUESTS, weigh(model, REQUESTS, encode), strict=True):
        for text, value in zip(request.continuations, one.loglikelihoods, strict=True):
            ids = encode(request.context + text)
            logits = model.language_model(torch.tensor([ids[:-1]])).logits[0]
            continuation = encode_pair(encode, request.context, text)[1]
            assert value == pytest.approx(chance(logits, continuation), abs=1e-4)


def test_a_batch_weighs_each_request_as_if_alone(make_model: Callable, encode: Callable) -> None:
    model = make_model().eval()
    together = weigh(model, REQUESTS, encode)
    compared(together, [weigh(model, [request], encode)[0].loglikelihoods for request in REQUESTS])


def test_a_context_is_read_once_for_all_continuations(
    make_model: Callable, encode: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, read = make_model().eval(), []
    hidden = model.hidden
    monkeypatch.setattr(model, "hidden", lambda batch, **o: read.append(batch.tokens) or hidden(batch, **o))
    weigh(model, REQUESTS, encode)
    assert read == [sum(len(encode(request.context.rstrip())) for request in REQUESTS)]


def test_one_token_continuations_need_no_second_pass(
    make_model: Callable, encode: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, request = make_model().eval(), Request("The letter is", ("A", "B", "C"))
    monkeypatch.setattr(model, "decode", None)
    compared(weigh(model, [request], encode), [one_by_one(model, request, encode)])


@pytest.mark.parametrize("window", [9, 14, 18, 24, 30, 40])
@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_a_context_longer_than_the_window_loses_its_first_tokens(
    window: int, family: str, make_model: Callable, make_language_model: Callable, encode: Callable
) -> None:
    sizes = {"max_position_embeddings": window} | ({"sliding_window": window} if family == "gemma2" else {})
    base = make_language_model(family, **sizes)
    model = ComposedModel(make_model().connector, base).eval()
    requests = [Request("a long story ends", (" well", " badly", " b")), Request("a", (" bc", " de"))]
    found = weigh(model, requests, encode)
    compared(found, [one_by_one(model, request, encode, window=window) for request in requests])
    lengths = [len(encode(requests[0].context + text)) - 1 for text in requests[0].continuations]
    assert [one.cut for one in found] == [max(0, max(lengths) - window), 0]


def test_what_the_tokenizer_writes_before_a_text_is_written(make_model: Callable, make_tokenizer: Callable) -> None:
    bare, opened = (Scribe(make_tokenizer(form), template_named("vicuna")).bare for form in ("$A", "<s> $A </s>"))
    assert opened("ab") == [256, *bare("ab")]
    model = make_model().eval()
    without, begun = (weigh(model, REQUESTS[:1], encode)[0] for encode in (bare, opened))
    assert without.loglikelihoods != begun.loglikelihoods


def test_what_cannot_be_weighed_is_refused(
    make_model: Callable, encode: Callable, make_language_model: Callable
) -> None:
    model = make_model().eval()
    with pytest.raises(DataError, match="a context without a token"):
        weigh(model, [Request("", (" a",))], encode)
    with pytest.raises(DataError, match="'a': a continuation without a token"):
        weigh(model, [Request("a", ("",))], encode)
    short = ComposedModel(model.connector, make_language_model(max_position_embeddings=4))
    with pytest.raises(DataError, match="a continuation of 5 tokens; allowed 4"):
        weigh(short, [Request("a", (" word",))], encode)


def test_nothing_to_weigh_gives_nothing(make_model: Callable, encode: Callable) -> None:
    assert weigh(make_model(), [], encode) == []


def test_weighing_leaves_no_marks_and_no_gradients(make_model: Callable, encode: Callable) -> None:
    model = stirred(make_model(LoraSettings(rank=2)))
    weigh(model, REQUESTS, encode)
    assert model.board.current is None
    assert all(parameter.grad is None for parameter in model.parameters())


@torch.no_grad()
def test_continuations_that_tie_in_bfloat16_are_told_apart(make_model: Callable, encode: Callable) -> None:
    model, request = make_model().eval(), Request("2+2=", ("4", "5"))
    model.language_model.to(torch.bfloat16)
    context, *_ = encode_pair(encode, request.context, "4")
    asked = collate([Sample((), (Turn(tuple(context)),))])
    state = model.hidden(asked, use_cache=False).last_hidden_state[0, -1]
    (four,), (five,) = (encode_pair(encode, request.context, text)[1] for text in request.continuations)
    weight = model.language_model.get_output_embeddings().weight
    weight[four] = weight[five] = state
    place = state.abs().median(0).indices
    weight[five, place] += state[place] / 64
    assert model.logits(state)[four] == model.logits(state)[five]
    likelihoods = weigh(model, [request], encode)[0].loglikelihoods
    assert likelihoods[0] < likelihoods[1]
