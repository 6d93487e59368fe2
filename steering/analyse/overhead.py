"""What each arm costs to answer with, against the bare base model (MoReS paper, A.4: seconds per sample more).

    prefill   seconds a question takes to read, visual and prompt tokens, alone in a batch, with a cache
    decode    seconds a token takes behind the question that is longest to read, choosing it included
    answer    seconds a question takes from reading to the last token of its answer

The bare model is the base model behind the control's connector. Every arm answers the same questions in the same
number of tokens, those of the control's own answers with the closing token, whatever it would say by itself: a
talkative arm is not slower for its words. Arms take turns within each round (steering.analyse.timing); a turn begins
with one answer that is not timed, and loading is not timed either.

The bare model takes part twice. How far its second self is from 1 is what this machine, with whatever else ran on it,
makes of no difference at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from steering.analyse.timing import difference, interleaved, ratio, seconds, typical
from steering.data.collate import Batch
from steering.evaluate.generate import answer
from steering.methods.merging import MERGES
from steering.model.composed import ComposedModel

MEASURES = ("prefill", "decode", "answer")
BARE, AGAIN = "bare model", "bare model again"
NEVER = -1
"""No token's id, so that no answer ends before its length."""

NOTES = {
    "prefill": "seconds a question: visual and prompt tokens, one question at a time, with a cache",
    "decode": "seconds a token behind the question that is longest to read, choosing it included",
    "answer": "seconds a question, from reading it to the last token of its answer, one question at a time",
    "length": "every arm decodes as many tokens as the control's own answer has, closing token included",
    "base": "the base model behind the control's connector, without an adapter; it takes part twice",
    "rounds": "all arms in each round, in turning order; a turn begins with an answer that is not timed",
    "weights": "one base model for all; full fine-tuning and merged adapters have their own, loaded untimed",
    "numbers": "medians over rounds, ratios and differences paired by round; 95 % bootstrap over rounds",
}

Clock = Callable[[Callable[[], object], torch.device], float]
Raw = Mapping[str, Mapping[str, Sequence[float]]]
"""Contender -> measure -> seconds in each round."""


@dataclass(frozen=True)
class Contender:
    """An arm's run (world, data, arm, seed, settings) as it is timed."""

    name: str
    run: Mapping[str, Any]
    merged: bool = False

    def told(self) -> dict[str, Any]:
        method = self.run["settings"]["method"]
        return {"name": self.name, "arm": self.run["arm"], "method": method, "merged": self.merged}


@dataclass(frozen=True)
class Asked:
    """A question alone in its batch, and how many tokens its answer has."""

    batch: Batch
    tokens: int


def contenders(runs: Sequence[Mapping[str, Any]], *, merging: bool = True) -> list[Contender]:
    """What is timed beside the bare model: each run, and merged where its method can be and *merging* is wanted.

    A run without a method is the bare model itself, and is left out.
    """
    found = []
    for run in runs:
        method = run["settings"]["method"]
        if method != "none":
            found.append(Contender(run["arm"], run))
        if merging and method in MERGES:
            found.append(Contender(f"{run['arm']}, merged", run, merged=True))
    return found


def measure(
    openings: Mapping[str, Callable[[], ComposedModel]],
    asked: Sequence[Asked],
    *,
    tokens: int,
    rounds: int,
    warmup: int,
    seed: int = 0,
    clock: Clock = seconds,
) -> dict[str, dict[str, list[float]]]:
    """The seconds of every measure in every round, of the models that *openings* give; see `turn`."""
    turns = {name: partial(_opened, opening, asked, tokens=tokens, clock=clock) for name, opening in openings.items()}
    told = interleaved(turns, rounds=rounds, warmup=warmup, seed=seed, what="round of all arms")
    return {name: {kind: [one[kind] for one in own] for kind in MEASURES} for name, own in told.items()}


def _opened(opening: Callable[[], ComposedModel], asked: Sequence[Asked], **options: Any) -> dict[str, float]:
    return turn(opening(), asked, **options)


@torch.inference_mode()
def turn(model: ComposedModel, asked: Sequence[Asked], *, tokens: int, clock: Clock = seconds) -> dict[str, float]:
    """One contender's turn: seconds a question of *asked* to read and to answer, seconds a token of *tokens*."""
    longest = max(asked, key=lambda one: one.batch.tokens)
    answered(model, longest)  # not timed: caches, kernels and pages are those of another model
    found = {
        "prefill": sum(clock(partial(_read, model, one), model.device) for one in asked) / len(asked),
        "answer": sum(clock(partial(answered, model, one), model.device) for one in asked) / len(asked),
    }
    output = _read(model, longest)
    return found | {"decode": clock(partial(_follow, model, longest.batch, output, tokens), model.device) / tokens}


def _read(model: ComposedModel, one: Asked) -> Any:
    return model.hidden(one.batch, use_cache=True)


def answered(model: ComposedModel, one: Asked) -> list[int]:
    """The answer of exactly `one.tokens` tokens, whatever the model says."""
    ((said,),) = answer(model, one.batch, max_new_tokens=one.tokens, closing=NEVER)
    return said


def _follow(model: ComposedModel, batch: Batch, output: Any, tokens: int) -> None:
    """Decode *tokens* tokens behind a single question, each the likeliest; the cache of *output* grows."""
    hidden, cache = output.last_hidden_state[:, -1:], output.past_key_values  # (1, 1, d)
    length = batch.input_ids.shape[1]
    for ahead in range(1, tokens + 1):
        chosen = model.exact_logits(hidden).argmax(-1)  # (1, 1)
        visible = torch.ones(1, 1, 1, length + ahead, dtype=torch.bool, device=chosen.device)
        places = batch.position_ids[:, -1:] + ahead
        hidden = model.decode(chosen, places, visible=visible, cache=cache).last_hidden_state


def compared(raw: Raw) -> dict[str, dict[str, Any]]:
    """Contender -> its seconds and, but for the bare model, ratio and difference to it, by measure with intervals."""
    base = raw[BARE]
    found: dict[str, dict[str, Any]] = {
        name: {"raw": own, "seconds": {kind: typical(own[kind]).as_dict() for kind in MEASURES}}
        for name, own in raw.items()
    }
    for name, own in raw.items():
        if name != BARE:
            found[name]["ratio"] = {kind: ratio(own[kind], base[kind]).as_dict() for kind in MEASURES}
            found[name]["more"] = {kind: difference(own[kind], base[kind]).as_dict() for kind in MEASURES}
    return found


def spread(values: Sequence[float]) -> float:
    """How far apart the middle half of *values* is, in parts of their median."""
    low, middle, high = np.quantile(np.asarray(values), (0.25, 0.5, 0.75))
    return float((high - low) / middle)


def record(raw: Raw, told: Sequence[Contender], asked: Sequence[Asked]) -> dict[str, Any]:
    """All that is found, as plain builtins: the bare model, its second self, and a row for each contender."""
    found = compared(raw)
    return {
        "protocol": NOTES,
        "questions": len(asked),
        "positions": float(np.mean([one.batch.tokens for one in asked])),
        "visual_tokens": float(np.mean([int(one.batch.marks.visual.sum()) for one in asked])),
        "answer_tokens": float(np.mean([one.tokens for one in asked])),
        "bare": {"name": BARE, **found[BARE], "spread": {kind: spread(raw[BARE][kind]) for kind in MEASURES}},
        "again": {"name": AGAIN, **found[AGAIN]},
        "contenders": [{**contender.told(), **found[contender.name]} for contender in told],
    }
