"""Greedy answers to many questions at once; questions about one picture share its prefill.

A batch holds pictures with several independent questions each (see steering.data.collate). The shared part is
computed once; every question then decodes in its own block, which sees the shared part and itself - the same
tokens, positions and masks as if it had been asked alone.

Shapes: b samples, q questions of the fullest sample, t prefilled positions, n decoded so far.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from steering.data.collate import Batch
from steering.model.composed import ComposedModel

KEPT_SHARE, STAY = 0.5, 16
"""Samples whose questions have all ended leave the batch once at most KEPT_SHARE of it still answers, and not within
the first STAY tokens: short answers are not worth a cache moved."""


@torch.inference_mode()
def answer(model: ComposedModel, batch: Batch, *, max_new_tokens: int, closing: int) -> list[list[list[int]]]:
    """Token ids for every question of every sample, up to and without *closing*, at most *max_new_tokens*."""
    output = model.hidden(batch, use_cache=True)
    last, asked = _ends(batch)  # (b, q), (b, q) bool
    rows = torch.arange(len(last), device=last.device)
    chosen = _choose(model, output.last_hidden_state[rows.unsqueeze(1), last])  # (b, q)
    positions = batch.position_ids[rows.unsqueeze(1), last]
    blocks = torch.arange(1, last.shape[1] + 1, device=last.device).expand_as(last)
    key_blocks = batch.marks.block.masked_fill(_padding(batch), -1)  # (b, t)
    answers = chosen.new_full((*last.shape, max_new_tokens), closing)  # (b, q, n)
    answers[:, :, 0] = chosen
    ended = ~asked | (chosen == closing)
    for count in range(1, max_new_tokens):
        going = ~ended.all(1)
        if not (left := int(going.sum())):
            break
        if count >= STAY and left <= KEPT_SHARE * len(rows):
            rows, chosen, positions, blocks, key_blocks, ended = (
                kept[going] for kept in (rows, chosen, positions, blocks, key_blocks, ended)
            )
            output.past_key_values.batch_select_indices(going.nonzero().squeeze(1))
        positions = positions + 1
        key_blocks = torch.cat([key_blocks, blocks], dim=1)
        output = model.decode(chosen, positions, visible=_sees(blocks, key_blocks), cache=output.past_key_values)
        chosen = _choose(model, output.last_hidden_state)
        answers[rows, :, count] = chosen
        ended = ended | (chosen == closing)
    return _cut(answers, asked, closing)


@torch.inference_mode()
def stream(model: ComposedModel, batch: Batch, *, max_new_tokens: int, closing: int) -> Iterator[int]:
    """The token ids of the answer to the one question of *batch*, each as soon as it is known; those of `answer`."""
    output = model.hidden(batch, use_cache=True)
    chosen, position = _choose(model, output.last_hidden_state[:, -1:]), batch.position_ids[:, -1:]  # (1, 1)
    seen = batch.real[:, None, None, :]  # (1, 1, 1, t)
    for count in range(max_new_tokens):
        if count:
            position, seen = position + 1, torch.cat([seen, torch.ones_like(seen[..., :1])], dim=-1)
            output = model.decode(chosen, position, visible=seen, cache=output.past_key_values)
            chosen = _choose(model, output.last_hidden_state)
        if (told := int(chosen)) == closing:
            return
        yield told


def _choose(model: ComposedModel, hidden: Tensor) -> Tensor:
    return model.exact_logits(hidden).argmax(-1)


def _padding(batch: Batch) -> Tensor:
    marks = batch.marks
    return ~(marks.visual | marks.prompt | marks.answer)


def _ends(batch: Batch) -> tuple[Tensor, Tensor]:
    """The last position of each question's block (b, q), and whether the sample has that question."""
    block, length = batch.marks.block, batch.marks.block.shape[1]
    numbers = torch.arange(1, int(block.max()) + 1, device=block.device)
    inside = block.unsqueeze(-1) == numbers  # (b, t, q)
    places = torch.arange(length, device=block.device)[None, :, None].expand_as(inside)
    return places.masked_fill(~inside, 0).amax(1), inside.any(1)


def _sees(blocks: Tensor, key_blocks: Tensor) -> Tensor:
    """(b, 1, q, t + n q) bool: the shared part and the question's own block."""
    return ((key_blocks[:, None, :] == 0) | (key_blocks[:, None, :] == blocks[:, :, None])).unsqueeze(1)


def _cut(ids: Tensor, asked: Tensor, closing: int) -> list[list[list[int]]]:
    return [
        [_until(answer.tolist(), closing) for answer, real in zip(row, present, strict=True) if real]
        for row, present in zip(ids, asked, strict=True)
    ]


def _until(ids: list[int], closing: int) -> list[int]:
    return ids[: ids.index(closing)] if closing in ids else ids
