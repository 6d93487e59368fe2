"""Hallusion and illusion: yes/no questions on pictures and on edits of them, in the HallusionBench format.

File: HallusionBench.json, a list of {"category": VD or VS, "subcategory", "visual_input": "0", "1" or "2", "set_id",
"figure_id", "question_id", "question", "gt_answer": "0" or "1", "gt_answer_details", "filename": "./VS/chart/0_1.png"
or null}; one split, test. Pictures are named without "./".
No judge: yes or no is read as VLMEvalKit does (confirmed: its yorn.py), as the one of the two words that is there; both
or none is unclear. As in the official script (confirmed: utils.py) an unclear answer counts as right where a VS
question comes without a picture (figure 0), for not to know is right there; an answer without words is wrong
everywhere. aAcc: questions; fAcc: figures with all right, VS figure 0 left out; qAcc: pairs (a question over the
figures of its set) with all right; easy is visual_input 0 and 1, hard is 2, each by pairs (the official script's) and
by questions. Over the whole file these divide by 1,129, 346, 455, 455 and 430 pairs, 625 and 504 questions; the
authors' table is of 455 and 430. Its commits of 2023 call figure 0 easy and the others hard, which moves VS questions
with an original picture (170) from easy to hard; here, as in ports of its last version, visual_input tells, by which
the authors' table makes sense: by figure most models would be better on edited pictures than on original ones.

Groups under weights: outcomes tell figure and pair by numbers, and a group weighs the mean of its questions' weights
(see mme.share_of_groups). A figure is one picture, but a pair goes over several: where pictures are resampled, its
interval is an approximation. The set (cluster) holds all groups whole; resampled by it, they all weigh exactly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from steering.errors import DataError
from steering.evaluate.benchmarks.form import (
    SHORT_ANSWER,
    Array,
    Example,
    Outcomes,
    check_subset,
    field,
    read_json,
    share,
)
from steering.evaluate.benchmarks.mme import group_number, share_of_groups
from steering.evaluate.judge import (
    JudgePrompt,
    JudgeQuestion,
    Verdict,
    hallusion_outcome,
    hallusion_question,
    read_correctness,
    told_by,
    unscored,
)

CATEGORIES = ("VD", "VS")
VISUAL_INPUTS = ("0", "1", "2")
HARD = "2"
NO_FIGURE = "0"
TRUTHS = {"0": "no", "1": "yes"}
MARKS = ';/[]"{}()=+\\_-><@`,?!'
DIGITS_ABOUT_COMMA = re.compile(r"\d,\d")
FULL_STOP = re.compile(r"\.(?!\d)")
# VLMEvalKit hands re.UNICODE (32) to re.sub as its count, so at most this many stops go.
FULL_STOPS_REMOVED = 32
KEY = ("category", "subcategory", "set_id", "figure_id", "question_id")
UNCLEAR_BARE = "unclear is right where VS has no picture; easy_pairs and hard_pairs are the official easy and hard aAcc"
PROTOCOL = {
    "decoding": "generation",
    "judge": "none: yes/no words, as in VLMEvalKit",
    "prompt": f"question, then: {SHORT_ANSWER}",
    "scoring": "the one of yes and no that is a word of the answer; else unparsed, which is wrong, but right for words "
    "that are neither where VS has no picture; easy_pairs and hard_pairs are the official easy and hard aAcc",
}


def read_yes_no(answer: str) -> str | None:
    """ "yes" or "no" where just one of them is a word of *answer*, else None."""
    found = {"yes", "no"}.intersection(_words(answer))
    return found.pop() if len(found) == 1 else None


def _words(answer: str) -> list[str]:
    """The words of *answer* without marks: a mark goes where the text has it beside a space, else parts words."""
    text = answer.lower()
    counts = DIGITS_ABOUT_COMMA.search(text) is not None
    cleaned = text
    for mark in MARKS:
        goes = counts or f"{mark} " in text or f" {mark}" in text
        cleaned = cleaned.replace(mark, "" if goes else " ")
    return FULL_STOP.sub("", cleaned, count=FULL_STOPS_REMOVED).split()


class HallusionBench:
    """subset: VD or VS, None for both; category: "VD/1", the category with its visual_input.

    answers: yes or no, then the reference in words where the file has one, which is what a judge reads. HALLUSION
    itself reads yes and no; `judged` gives the form that goes by a judge, as the official script does.
    """

    name = "hallusion"
    version = 1
    metric = "aAcc"
    metrics: tuple[str, ...] = (
        "aAcc",
        "fAcc",
        "qAcc",
        "easy_pairs",
        "hard_pairs",
        "easy_questions",
        "hard_questions",
    )
    max_new_tokens = 16
    lettered = False
    needs_judge = False

    def __init__(self, values: Mapping[tuple[str, str], float] | None = None, protocol: Mapping[str, str] = PROTOCOL):
        self.values, self.protocol = values, protocol

    def examples(self, root: Path, split: str, subset: str | None = None) -> list[Example]:
        check_subset(self.name, subset, CATEGORIES)
        if split != "test":
            raise DataError(f"{self.name}: split {split!r} is unknown; it has test")
        path = root / "HallusionBench.json"
        rows = read_json(path)
        if not isinstance(rows, list):
            raise DataError(f"{path}: a {type(rows).__name__}; allowed is a list of questions")
        examples = [_example(row, number, f"{path}: row {number}") for number, row in enumerate(rows)]
        return [example for example in examples if subset in (None, example.category.split("/")[0])]

    def cluster(self, example: Example) -> str:
        """What has to be resampled whole: the set, on whose figures the questions are asked."""
        return "/".join(_key(example)[:3])

    def questions(self, answered: Iterable[tuple[Example, str]], prompt: JudgePrompt) -> list[JudgeQuestion]:
        """What the judge is asked about each (example, answer); DataError for a question without a reference."""
        return [_asked(prompt, example, answer) for example, answer in answered]

    def read(self, reply: str) -> float | None:
        return read_correctness(reply)

    def judged(
        self, answered: Iterable[tuple[Example, str]], verdicts: Mapping[str, Verdict], sha256: str
    ) -> HallusionBench:
        """The form that scores the (example, answer) by the verdicts of their ids; DataError where one has none.

        sha256: of the prompt that the judge read.
        """
        pairs = list(answered)
        if why := unscored(verdicts, [example.id for example, _ in pairs]):
            raise DataError(f"{self.name}: {why}")
        told = {**PROTOCOL, **told_by(verdicts), "judge prompt": f"sha256 {sha256}", "scoring": UNCLEAR_BARE}
        values = {(example.id, answer): verdicts[example.id].value for example, answer in pairs}
        return HallusionBench({key: value for key, value in values.items() if value is not None}, told)

    def outcome(self, example: Example, answer: str) -> dict[str, float]:
        """Raises DataError where a judge decides and has not decided about this answer."""
        category, subcategory, number, figure, question = _key(example)
        bare = category == "VS" and figure == NO_FIGURE
        return {
            **self._right(example, answer, bare=bare),
            "hard": float(example.category.endswith(f"/{HARD}")),
            "figure": 0.0 if bare else group_number(f"{category}/{subcategory}/{number}/figure/{figure}"),
            "pair": group_number(f"{category}/{subcategory}/{number}/question/{question}"),
        }

    def _right(self, example: Example, answer: str, *, bare: bool) -> dict[str, float]:
        """correct, parsed and unclear, by the judge where there is one."""
        if self.values is None:
            said = read_yes_no(answer)
            unclear = said is None and bool(_words(answer))
            right = said == example.target or (bare and unclear)
            return {"correct": float(right), "parsed": float(said is not None), "unclear": float(unclear)}
        if (example.id, answer) not in self.values:
            raise DataError(f"{self.name}: {example.id}: not scored: no judge has read this answer")
        return hallusion_outcome(self.values[example.id, answer], without_picture=bare)

    def measure(self, name: str, outcomes: Outcomes, weights: Array) -> Array:
        correct, hard = outcomes["correct"], outcomes["hard"]
        if name == "fAcc":
            return share_of_groups(weights, correct, outcomes["figure"], (outcomes["figure"] > 0).astype(float))
        over, inside = {
            "aAcc": ("questions", np.ones_like(hard)),
            "qAcc": ("pairs", np.ones_like(hard)),
            "easy_pairs": ("pairs", 1 - hard),
            "hard_pairs": ("pairs", hard),
            "easy_questions": ("questions", 1 - hard),
            "hard_questions": ("questions", hard),
        }[name]
        if over == "pairs":
            return share_of_groups(weights, correct, outcomes["pair"], inside)
        return share(weights, correct * inside, inside)


def _asked(prompt: JudgePrompt, example: Example, answer: str) -> JudgeQuestion:
    if len(example.answers) < 2:
        raise DataError(f"hallusion: {example.id}: no gt_answer_details; the judge compares with it, so predict again")
    told = {"question": example.question, "reference": example.answers[1], "prediction": answer}
    return hallusion_question(prompt, example.id, **told)


def _key(example: Example) -> list[str]:
    """category, subcategory, set, figure, question."""
    return example.id.split("/")[1:]


def _example(row: Any, number: int, where: str) -> Example:
    key = [str(field(row, name, where)) for name in KEY]
    visual = _one_of(row, "visual_input", VISUAL_INPUTS, where)
    truth = TRUTHS[_one_of(row, "gt_answer", tuple(TRUTHS), where)]
    _one_of(row, "category", CATEGORIES, where)
    question, picture = field(row, "question", where).strip(), field(row, "filename", where)
    return Example(
        # The row's number keeps ids apart where a figure is asked a question twice.
        id="/".join((str(number), *key)),
        image=picture.removeprefix("./") if picture else None,
        prompt=f"{question}\n{SHORT_ANSWER}",
        target=truth,
        answers=(truth, *([row["gt_answer_details"]] if row.get("gt_answer_details") else [])),
        question=question,
        category=f"{key[0]}/{visual}",
    )


def _one_of(row: Any, name: str, allowed: tuple[str, ...], where: str) -> str:
    found = str(field(row, name, where))
    if found not in allowed:
        raise DataError(f"{where}: {name} {found!r}; allowed are {', '.join(allowed)}")
    return found


HALLUSION = HallusionBench()
