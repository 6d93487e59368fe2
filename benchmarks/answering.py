"""What the benchmark of prediction asks, and the ways to answer it: ours, and transformers' own.

The models are random, so questions are of random words and answers of a fixed number of tokens, the last of which
stands for the one that ends an answer. The peer is transformers' `generate` on the same embeddings, for one question
at a time or for all of a batch, padded on the left, each question with its own copy of the picture's tokens; and for
endings a full pass a continuation, as lm-evaluation-harness does, with logits at the continuation alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from benchmarks.workload import ARMS, RESERVED, SIZES, Workload, alone, length
from steering.data.collate import Sample, collate
from steering.data.templates import Turn
from steering.errors import SteeringError
from steering.evaluate import generate
from steering.evaluate.likelihood import Request, encode_pair
from steering.evaluate.weigh import weigh
from steering.methods import adapt
from steering.model.composed import ComposedModel
from steering.model.language import quicken

Kind = TypeVar("Kind", bound=ComposedModel)

CLOSING = 0
"""A token id that nobody says: its row in the LM head is 0 and the largest of the other logits is not."""


@dataclass(frozen=True)
class Form:
    """`pictures` in a batch, each with `questions` of between `words` many words, answered in `answer` tokens."""

    pictures: int
    questions: int
    words: tuple[int, int]
    answer: int


@dataclass(frozen=True)
class Endings:
    """`contexts` in a batch of between `words` many words, each with `endings` of between `ending` many."""

    contexts: int
    words: tuple[int, int]
    endings: int
    ending: tuple[int, int]


def _seeing(size: str, tokens_a_side: int) -> Any:
    """A size of the training benchmark with that many visual tokens a side."""
    known = SIZES[size]
    return replace(known, encoder={**known.encoder, "image_size": known.encoder["patch_size"] * tokens_a_side})


WORLDS = {"small": _seeing("small", 6), "medium": _seeing("medium", 24), "3b": _seeing("3b", 27)}
"""Language models of the training benchmark that see 36, 576 (LLaVA-1.5's) and 729 (SigLIP so400m's) tokens."""

FORMS = {
    "pope": Form(pictures=2, questions=6, words=(20, 28), answer=2),
    "vqav2": Form(pictures=2, questions=5, words=(18, 30), answer=4),
}
"""POPE has 6 questions a picture and VQAv2 about 5; words count the sentence on how to answer and the template."""

ENDINGS = {
    "hellaswag": Endings(contexts=8, words=(40, 120), endings=4, ending=(12, 32)),
    "mmlu": Endings(contexts=2, words=(500, 700), endings=4, ending=(1, 1)),
}
"""HellaSwag without shots, MMLU with 5."""

LONG = Form(pictures=8, questions=1, words=(8, 72), answer=64)
"""Answers of many lengths, as MM-Vet's: the longer a question, the shorter its answer; see `Ending`."""


class Ending(ComposedModel):
    """A model whose answers end where a text has `end` positions, unless with their first token."""

    end = 0
    _decoded: Tensor | None = None

    def decode(self, ids: Tensor, positions: Tensor, **seen: Any) -> Any:
        self._decoded = positions
        return super().decode(ids, positions, **seen)

    def exact_logits(self, hidden: Tensor) -> Tensor:
        logits, at = super().exact_logits(hidden), self._decoded
        self._decoded = None
        if at is not None:
            logits[..., CLOSING].masked_fill_(at >= self.end, torch.inf)
        return logits


class Answering:
    """Models and questions of one size, all from *seed*; both models share their weights."""

    def __init__(self, size: str, *, dtype: str, device: torch.device, seed: int = 0):
        self.load = Workload(WORLDS[size], dtype=dtype, device=device, seed=seed)
        self.device, self.seed = device, seed

    @cached_property
    def ours(self) -> ComposedModel:
        return self._model(ComposedModel, quicken(self.load.language_model()))

    @cached_property
    def ending(self) -> Ending:
        """Ours, whose answers to LONG end at the length of its longest question but one token."""
        model = self._model(Ending, quicken(self.load.language_model()))
        model.end = max(length(sample) for sample in self.asked(LONG)) + 1
        return model

    @cached_property
    def stock(self) -> ComposedModel:
        """The same without our quick norm; its words are compared as ours are, lest ties of bfloat16 part them."""
        model = self._model(ComposedModel, self.load.language_model())
        model.language_model.get_output_embeddings().forward = model.exact_logits
        return model

    def _model(self, kind: type[Kind], base: Any) -> Kind:
        model = kind(self.load.connector(), base)
        adapt(model, ARMS["mores"], seed=self.seed)
        with torch.no_grad():
            model.language_model.get_output_embeddings().weight[CLOSING] = 0
        return model.eval()

    def asked(self, form: Form) -> list[Sample]:
        """The questions of one batch, those about a picture in one sample."""
        shape = replace(self.load.size, pictures=form.pictures, questions=form.questions, words=form.words)
        drawn = Workload(shape, dtype=self.load.dtype, device=self.device, seed=self.seed + form.answer)
        return [replace(sample, turns=tuple(Turn(turn.question) for turn in sample.turns)) for sample in drawn.samples]

    def requests(self, form: Endings) -> list[Request]:
        """Words are token ids, spelled out; see `spelled`."""
        generator = torch.Generator().manual_seed(self.seed)

        def text(ends: tuple[int, int]) -> str:
            count = int(torch.randint(ends[0], ends[1] + 1, (), generator=generator))
            most = self.load.size.language["vocab_size"]
            ids = torch.randint(RESERVED, most, (count,), generator=generator).tolist()
            return "".join(f" {token}" for token in ids)

        return [
            Request(text(form.words).strip(), tuple(text(form.ending) for _ in range(form.endings)))
            for _ in range(form.contexts)
        ]


def spelled(text: str) -> list[int]:
    """The token ids that *text* spells out."""
    return [int(word) for word in text.split()]


def shared(model: ComposedModel, samples: Sequence[Sample], longest: int) -> list[list[int]]:
    """Ours: the token ids of every answer; the questions about a picture share its prefill."""
    said = generate.answer(model, collate(samples).to(model.device), max_new_tokens=longest, closing=CLOSING)
    return [ids for row in said for ids in row]


def batched(model: ComposedModel, samples: Sequence[Sample], longest: int) -> list[list[int]]:
    """transformers' generate on all questions at once, each with its own picture, padded on the left."""
    batch = collate(alone(samples), pad_left=True).to(model.device)
    with torch.inference_mode(), model.board.show(batch.marks):
        said: list[list[int]] = model.language_model.generate(
            inputs_embeds=model.splice(batch),
            attention_mask=batch.real.long(),
            max_new_tokens=longest,
            do_sample=False,
            eos_token_id=CLOSING,
            pad_token_id=CLOSING,
        ).tolist()
    return said


def one_by_one(model: ComposedModel, samples: Sequence[Sample], longest: int) -> list[list[int]]:
    return [ids for sample in alone(samples) for ids in batched(model, [sample], longest)]


def weighed(model: ComposedModel, requests: Sequence[Request]) -> list[list[float]]:
    """Ours: the log-likelihoods of every request's endings, whose context is read once."""
    return [one.loglikelihoods for one in weigh(model, requests, spelled)]


@torch.inference_mode()
def full_passes(model: ComposedModel, requests: Sequence[Request], *, together: bool) -> list[list[float]]:
    """A pass over context and ending for each ending; all endings of all requests *together*, or one at a time."""
    pairs = [encode_pair(spelled, request.context, text) for request in requests for text in request.continuations]
    batches = [pairs] if together else [[pair] for pair in pairs]
    values = iter([value for batch in batches for value in _passed(model, batch)])
    return [[next(values) for _ in request.continuations] for request in requests]


def _passed(model: ComposedModel, pairs: Sequence[tuple[list[int], list[int]]]) -> list[float]:
    rows = [Sample((), (Turn(tuple(context), tuple(ending[:-1])),)) for context, ending in pairs]
    hidden = model.hidden(collate(rows).to(model.device), use_cache=False).last_hidden_state  # (b, t, d)
    read = [
        states[len(context) - 1 : len(context) + len(ending) - 1]
        for states, (context, ending) in zip(hidden, pairs, strict=True)
    ]
    chances = model.exact_logits(torch.cat(read)).log_softmax(-1)  # (n, vocabulary)
    targets = torch.tensor([token for _, ending in pairs for token in ending], device=chances.device)
    each = chances.gather(1, targets.unsqueeze(1)).squeeze(1).split([len(ending) for _, ending in pairs])
    return [float(own.sum()) for own in each]


@contextmanager
def leaving(share: float) -> Iterator[None]:
    """Within the block, finished samples leave the batch at that share of it."""
    before, generate.KEPT_SHARE = generate.KEPT_SHARE, share
    try:
        yield
    finally:
        generate.KEPT_SHARE = before


def same_answers(ways: dict[str, Callable[[], list[list[int]]]]) -> int:
    """How many questions all *ways* answer alike, which is all; SteeringError where they do not."""
    said = {name: way() for name, way in ways.items()}
    first, *others = said.items()
    for name, answers in others:
        unlike = sum(one != other for one, other in zip(first[1], answers, strict=True))
        if unlike:
            raise SteeringError(f"{unlike} of {len(answers)} answers of {name} are not those of {first[0]}")
    return len(first[1])


def same_values(ways: dict[str, Callable[[], list[list[float]]]], *, within: float) -> float:
    """How far *ways* are apart at most; SteeringError beyond *within* nats, or where they choose differently."""
    first, *others = [way() for way in ways.values()]
    apart = 0.0
    for values in others:
        for own, other in zip(first, values, strict=True):
            apart = max([apart, *(abs(a - b) for a, b in zip(own, other, strict=True))])
            if own.index(max(own)) != other.index(max(other)):
                raise SteeringError(f"not the same choice: {own} and {other}")
    if apart > within:
        raise SteeringError(f"log-likelihoods {apart} nats apart; allowed {within}")
    return apart
