"""HallusionBench by a judge: the question put to it, its word read, and what that means for an answer."""

from __future__ import annotations

import re

from steering.errors import DataError
from steering.evaluate.judge.asking import JudgeQuestion
from steering.evaluate.judge.settings import JudgePrompt

HALLUSION_MARKS = ("{question}", "{reference}", "{prediction}")
HALLUSION_TEMPERATURES = (0.0, 0.5, 1.0)
INCORRECT, CORRECT, UNCLEAR = 0.0, 1.0, 2.0


def hallusion_question(prompt: JudgePrompt, name: str, **parts: str) -> JudgeQuestion:
    """HallusionBench's question to the judge from the official *prompt*, which holds the marks; parts: their texts.

    question, reference (gt_answer_details) and prediction fill the marks at once, so that marks in them stay text.
    Raises DataError where the prompt lacks one.
    """
    missing = [mark for mark in HALLUSION_MARKS if mark not in prompt.text]
    if missing:
        raise DataError(f"hallusionbench: the judge's prompt lacks {', '.join(missing)}; each stands where a text goes")
    text = re.sub("|".join(map(re.escape, HALLUSION_MARKS)), lambda mark: parts[mark[0][1:-1]], prompt.text)
    return JudgeQuestion(name, text, parts["prediction"], temperatures=HALLUSION_TEMPERATURES)


def read_correctness(reply: str) -> float | None:
    """INCORRECT, CORRECT or UNCLEAR by the word in *reply*, None without one (the official script: unclear)."""
    words = {"incorrect": INCORRECT, "correct": CORRECT, "unclear": UNCLEAR}
    return next((value for word, value in words.items() if word in reply.lower()), None)


def hallusion_outcome(value: float, *, without_picture: bool) -> dict[str, float]:
    """Outcome of a verdict; without_picture: a VS question that shows none, where unclear is right too."""
    unclear = value == UNCLEAR
    return {
        "correct": float(value == CORRECT or (unclear and without_picture)),
        "parsed": float(not unclear),
        "unclear": float(unclear),
    }
