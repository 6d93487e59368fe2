"""Multiple choice by log-likelihood: what a model is asked (Request), how it tells, and what that makes right.

The convention is lm-evaluation-harness's: every choice is a continuation of one context; `correct` takes the choice of
the greatest log-likelihood, `correct_norm` of the greatest log-likelihood per character and `correct_bytes` per UTF-8
byte of the choice, the delimiter before it not counted; of equals the first. An answer is the JSON list of the choices'
log-likelihoods, so that predictions of these forms are lines of text like all others and score again without a model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from steering.errors import DataError

if TYPE_CHECKING:  # the forms import this module
    from steering.evaluate.benchmarks.form import Example

DELIMITER = " "
SHOT_DELIMITER = "\n\n"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Request:
    """The pairs (context, each of continuations), asked as bare text: no conversation template, no closing token."""

    context: str
    continuations: tuple[str, ...]


@runtime_checkable
class LikelihoodForm(Protocol):
    """A form whose questions are not generated but weighed."""

    def request(self, example: Example) -> Request:
        """What to weigh for *example*; the answer is `told` of one log-likelihood a continuation, in its order."""
        ...


def encode_pair(encode: Callable[[str], list[int]], context: str, continuation: str) -> tuple[list[int], list[int]]:
    """The token ids of both parts, cut from the whole text's at the length of the context's own (the harness's rule).

    Blanks that end the context go to the continuation first, for tokenizers join a blank to the word that follows.
    """
    bare = context.rstrip()
    whole, cut = encode(context + continuation), len(encode(bare))
    return whole[:cut], whole[cut:]


def told(loglikelihoods: Sequence[float]) -> str:
    """The answer text of a request's log-likelihoods (natural logarithm, summed over a continuation's tokens)."""
    return json.dumps([float(value) for value in loglikelihoods])


def likelihood_outcome(example: Example, answer: str, texts: Sequence[str]) -> dict[str, float]:
    """Outcome of *answer* where *texts* are the choices whose lengths norm; the letter alone is a guesser's answer.

    Unparsed, hence wrong, is what is neither, or holds nan or plus infinity, or gives every choice no chance.
    Raises DataError where the number of log-likelihoods is not that of the choices.
    """
    letters, values = LETTERS[: len(texts)], _values(answer)
    if values is not None and len(values) != len(texts):
        raise DataError(f"{example.id}: {len(values)} log-likelihoods; the question has {len(texts)} choices")
    if values is None or not _usable(values):
        right = float(answer == example.target and answer in tuple(letters))
        return _outcome([right] * 3, parsed=values is None and answer in tuple(letters))
    lengths = ([1] * len(texts), [len(text) for text in texts], [len(text.encode()) for text in texts])
    return _outcome([float(letters[_best(values, each)] == example.target) for each in lengths], parsed=True)


def _outcome(correct: Sequence[float], *, parsed: bool) -> dict[str, float]:
    return dict(zip(("correct", "correct_norm", "correct_bytes"), correct, strict=True)) | {"parsed": float(parsed)}


def _values(answer: str) -> list[float] | None:
    try:
        found: Any = json.loads(answer)
    except json.JSONDecodeError:
        return None
    numbers = isinstance(found, list) and all(type(value) in (int, float) for value in found)
    return [float(value) for value in found] if numbers else None


def _usable(values: Sequence[float]) -> bool:
    return not any(math.isnan(value) or value == math.inf for value in values) and max(values) > -math.inf


def _best(values: Sequence[float], lengths: Sequence[int]) -> int:
    """The place of the greatest value per length, the first of equals; an empty choice has no chance."""
    each = [value / length if length else -math.inf for value, length in zip(values, lengths, strict=True)]
    return max(range(len(each)), key=lambda at: each[at])
