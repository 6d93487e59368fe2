"""Log-likelihoods of continuations; those of one context share its prefill, and a batch holds several contexts.

The convention is lm-evaluation-harness's, with its add_bos_token: bare text behind what the tokenizer itself writes
before a text (Llama's and Gemma's <s> or <bos>, nothing for Phi and Qwen), no template, no closing token; a text that
is longer than the model's window loses its first tokens. A context is read once, as a prompt, with its edits;
each continuation then stands in a block of its own, which sees the context and itself, at the positions that it
would have if it were the only one.

Shapes: b contexts, t positions, q positions of all continuations of a context, n tokens to predict, d hidden size.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from steering.data.collate import Sample, collate
from steering.data.templates import Turn
from steering.errors import DataError
from steering.evaluate.likelihood import Request, encode_pair
from steering.model.composed import ComposedModel
from steering.model.limits import Limits

LOGITS = 256
"""Tokens whose logits are held at once."""

Place = tuple[int, int]
"""A request's number and its continuation's."""


@dataclass(frozen=True)
class Weighed:
    """One log-likelihood a continuation (natural logarithm, summed over its tokens).

    cut: context tokens that the window had no place for, of the continuation that lost the most.
    """

    loglikelihoods: list[float]
    cut: int


@dataclass(frozen=True)
class _Row:
    """A context with the continuations that are read after it, and whose they are."""

    context: tuple[int, ...]
    continuations: list[list[int]]
    places: list[Place]

    def alone(self) -> list[_Row]:
        return [_Row(self.context, [own], [place]) for own, place in zip(self.continuations, self.places, strict=True)]

    @property
    def ids(self) -> list[int]:
        """What is read after the context; nothing follows a continuation's last token."""
        return [token for own in self.continuations for token in own[:-1]]

    @property
    def positions(self) -> list[int]:
        return [len(self.context) + at for own in self.continuations for at in range(len(own) - 1)]

    @property
    def blocks(self) -> list[int]:
        return [block for block, own in enumerate(self.continuations, start=1) for _ in own[:-1]]

    @property
    def columns(self) -> list[int]:
        """Where each token is predicted: 0 the context's end, c + 1 the c-th of ids."""
        columns, start = [], 0
        for own in self.continuations:
            columns += [0, *range(start + 1, start + len(own))]
            start += len(own) - 1
        return columns


@torch.inference_mode()
def weigh(model: ComposedModel, requests: Sequence[Request], encode: Callable[[str], list[int]]) -> list[Weighed]:
    """What *model* makes of each of *requests*; *encode* gives the token ids of a bare text.

    Raises DataError for a context or a continuation without a token, and a continuation longer than the window.
    """
    window = Limits.of(model.config).alone
    rows, cuts = _rows(requests, cache(encode), window)
    found: dict[Place, float] = {}
    for together in _fitting(rows, window):
        found |= _read(model, together)
    return [
        Weighed([found[number, at] for at in range(len(request.continuations))], cuts[number])
        for number, request in enumerate(requests)
    ]


def _rows(
    requests: Sequence[Request], encode: Callable[[str], list[int]], window: int | None
) -> tuple[list[_Row], dict[int, int]]:
    """Continuations by request and by what is left of their context, and how many tokens each request has lost."""
    shared: dict[tuple[int, tuple[int, ...]], _Row] = {}
    cuts: dict[int, int] = defaultdict(int)
    for number, request in enumerate(requests):
        for at, text in enumerate(request.continuations):
            context, continuation = encode_pair(encode, request.context, text)
            over = _over(request, context, continuation, window)
            cuts[number] = max(cuts[number], over)
            left = tuple(context[over:])
            row = shared.setdefault((number, left), _Row(left, [], []))
            row.continuations.append(continuation)
            row.places.append((number, at))
    return list(shared.values()), cuts


def _over(request: Request, context: list[int], continuation: list[int], window: int | None) -> int:
    """Tokens of *context* that do not fit; a continuation's last token is never read, so it takes no position."""
    if not context or not continuation:
        what = "continuation" if context else "context"
        raise DataError(f"{request.context[-80:]!r}: a {what} without a token; allowed at least one")
    if window is not None and len(continuation) > window:
        raise DataError(f"{request.context[-80:]!r}: a continuation of {len(continuation)} tokens; allowed {window}")
    return 0 if window is None else max(0, len(context) + len(continuation) - 1 - window)


def _fitting(rows: list[_Row], window: int | None) -> list[list[_Row]]:
    """All of *rows* at once where the longest stay within the window side by side; else each continuation alone."""
    longest = max((len(row.context) for row in rows), default=0) + max((len(row.ids) for row in rows), default=0)
    if window is None or longest <= window:
        return [rows] if rows else []
    return [[single] for row in rows for single in row.alone()]


def _read(model: ComposedModel, rows: list[_Row]) -> dict[Place, float]:
    batch = collate([Sample((), (Turn(row.context),)) for row in rows]).to(model.device)
    output = model.hidden(batch, use_cache=True)
    each = torch.arange(len(rows), device=model.device)
    ends = torch.tensor([len(row.context) - 1 for row in rows], device=model.device)
    states = output.last_hidden_state[each, ends].unsqueeze(1)  # (b, 1, d)
    if any(row.ids for row in rows):
        read = _continue(model, rows, batch.real, output.past_key_values)
        states = torch.cat([states, read], dim=1)  # (b, 1 + q, d)
    return _summed(model, rows, states)


def _continue(model: ComposedModel, rows: list[_Row], real: Tensor, cache: Any) -> Tensor:
    """Hidden states (b, q, d) of the continuations; real: (b, t) bool, the contexts without their padding."""
    ids, positions, blocks = (
        _padded([getattr(row, name) for row in rows], real) for name in ("ids", "positions", "blocks")
    )
    causal = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool, device=ids.device).tril()
    own = causal & (blocks[:, :, None] == blocks[:, None, :])  # (b, q, q)
    context = real[:, None, :].expand(-1, ids.shape[1], -1)  # (b, q, t)
    visible = torch.cat([context, own], dim=2).unsqueeze(1)
    states: Tensor = model.decode(ids, positions, visible=visible, cache=cache).last_hidden_state
    return states


def _padded(lists: list[list[int]], like: Tensor) -> Tensor:
    longest = max(map(len, lists))
    return torch.tensor([own + [0] * (longest - len(own)) for own in lists], device=like.device)


def _summed(model: ComposedModel, rows: list[_Row], states: Tensor) -> dict[Place, float]:
    """The log-likelihood of every continuation from the states (b, 1 + q, d) that predict its tokens."""
    places = [place for row in rows for place in row.places]
    lengths = [len(own) for row in rows for own in row.continuations]
    device = states.device
    row_of = torch.tensor([n for n, row in enumerate(rows) for _ in row.columns], device=device)  # (n,)
    columns = torch.tensor([column for row in rows for column in row.columns], device=device)
    targets = torch.tensor([t for row in rows for own in row.continuations for t in own], device=device)
    parts = zip(row_of.split(LOGITS), columns.split(LOGITS), targets.split(LOGITS), strict=True)
    each = torch.cat([_chances(model.exact_logits(states[rows_, at]), wanted) for rows_, at, wanted in parts])
    sums = [own.sum() for own in each.split(lengths)]
    return dict(zip(places, torch.stack(sums).tolist(), strict=True))


def _chances(logits: Tensor, targets: Tensor) -> Tensor:
    """Log-probability (n,) of each target under logits (n, vocabulary)."""
    return logits.gather(1, targets.unsqueeze(1)).squeeze(1) - logits.logsumexp(1)
