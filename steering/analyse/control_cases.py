"""What control by token editing tries: questions, answers to steer to, tokens to edit, and questions to leave alone.

All is drawn by fixed seeds from a run's prediction records, so that every arm and seed of a world tries the same: one
question a picture, in the order in which they were asked. A target is drawn among what the question's answer could be:
its choices (their letters where the form reads letters), or else the answers of like questions of the benchmark.

kind    which tokens are edited
object  the patches that the box of what is asked about covers most, where the data tell boxes
random  as many other patches of the picture, which no such box touches
text    the last tokens of the prompt, as MRT's suffix
none    the text edit before its first step, on one token: the control that can change nothing
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from steering.analyse.patches import covered
from steering.data.embedded.objects import Thing
from steering.errors import DataError
from steering.evaluate.benchmarks import FORMS
from steering.evaluate.benchmarks.form import LETTERS
from steering.evaluate.likelihood import LikelihoodForm

Record = Mapping[str, Any]
KINDS = ("object", "random", "text")
PER_PICTURE = 4
"""Bystanders about one other picture."""


@dataclass(frozen=True)
class Try:
    """One edit; patches: the visual tokens that it edits, none where it edits the prompt's end."""

    kind: str
    tokens: int
    patches: tuple[int, ...] = ()


@dataclass(frozen=True)
class Case:
    """A question, the answers it could have, the edits to try, and the bystanders about its own and other pictures."""

    question: Record
    candidates: tuple[str, ...]
    tries: tuple[Try, ...]
    same: tuple[Record, ...]
    others: tuple[tuple[Record, ...], ...]

    def drawn(self, present: str) -> tuple[str, str | None]:
        """The target, and a decoy drawn alike, None where no further answer is left; neither is *present*."""
        left = [answer for answer in self.candidates if _plain(answer) != _plain(present)]
        Random(f"0/target/{self.question['id']}").shuffle(left)
        return left[0], left[1] if len(left) > 1 else None


def cases(
    records: Sequence[Record],
    wanted: Mapping[str, Any],
    *,
    forms: Mapping[str, str],
    grid: int,
    things: Callable[[Record], Sequence[Thing] | None],
) -> list[Case]:
    """The cases of a world's settings; *records* of one split, *forms* of their benchmarks, *grid* patches a side.

    things: what shows in a record's picture, None where the data do not tell. Raises DataError where no question can
    be tried.
    """
    pool = [record for record in records if record["picture"] and generated(forms[record["benchmark"]])]
    asked = [record for record in pool if record["benchmark"] == wanted["benchmark"]]
    found: dict[str, Case] = {}
    for record in asked:
        lettered = FORMS[forms[record["benchmark"]]].lettered
        answers = candidates(record, asked, lettered=lettered)
        there = things(record)
        boxes = None if there is None else [thing.box for thing in asked_about(record, there)]
        if record["group"] in found or len(answers) < 2 or boxes == []:
            continue
        edits = tries(wanted["tokens"], boxes, key=record["id"], grid=grid)
        found[record["group"]] = Case(record, answers, edits, *bystanders(record, pool, wanted["bystanders"]))
    if not found:
        raise DataError(f"token_control: {wanted['benchmark']}: no pictured question with two answers; allowed one")
    return list(found.values())[: wanted["questions"]]


def generated(form: str) -> bool:
    """Whether answers of *form* are generated, and scored without a judge."""
    return not isinstance(FORMS[form], LikelihoodForm) and not getattr(FORMS[form], "needs_judge", False)


def candidates(record: Record, asked: Sequence[Record], *, lettered: bool) -> tuple[str, ...]:
    """What the answer to *record* could be; without choices the answers of like questions, in the order of the text."""
    if record["choices"]:
        return tuple(LETTERS[: len(record["choices"])]) if lettered else tuple(map(str.strip, record["choices"]))
    alike = [other for other in asked if _likeness(other) == _likeness(record)]
    return tuple(sorted({other["target"] for other in alike if other["target"]}))


def asked_about(record: Record, there: Sequence[Thing]) -> list[Thing]:
    """The things that the question names; where it names none, those that its true answer names."""
    for text in (record["question"], *record["answers"]):
        if found := [thing for thing in there if any(_named(name, text) for name in thing.names)]:
            return found
    return []


def tries(counts: Sequence[int], boxes: Sequence[Sequence[float]] | None, *, key: str, grid: int) -> tuple[Try, ...]:
    """The edits of one question: each kind with each of *counts* tokens, as far as there are so many.

    boxes: of what is asked about, None where the data do not tell; key: what the random patches are drawn by.
    """
    own = covered(boxes or (), grid)
    rest = [patch for patch in range(grid * grid) if patch not in own]
    Random(f"0/patches/{key}").shuffle(rest)
    visual = {"object": own, "random": rest}
    chosen = [Try(kind, n, tuple(sorted(of[:n]))) for kind, of in visual.items() for n in counts if n <= len(of)]
    return (Try("none", 1), *chosen, *(Try("text", n) for n in counts))


def bystanders(
    record: Record, pool: Sequence[Record], count: int
) -> tuple[tuple[Record, ...], tuple[tuple[Record, ...], ...]]:
    """At most *count* other questions about the picture of *record*, and as many about others, picture by picture."""
    by_picture: dict[str, list[Record]] = {}
    for other in pool:
        if other is not record:
            by_picture.setdefault(other["group"], []).append(other)
    same = tuple(by_picture.pop(record["group"], ())[:count])
    random = Random(f"0/bystanders/{record['id']}")
    others: list[tuple[Record, ...]] = []
    left = count
    for picture in random.sample(sorted(by_picture), len(by_picture)):
        drawn = tuple(random.sample(by_picture[picture], min(len(by_picture[picture]), PER_PICTURE, left)))
        others.append(drawn)
        left -= len(drawn)
        if not left:
            break
    return same, tuple(others)


def _likeness(record: Record) -> tuple[str, str]:
    """Category and how the question begins: "How many", "Is there" and "The picture" have other answers."""
    return record["category"], " ".join((record["question"] or record["prompt"]).split()[:2])


def _named(name: str, text: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", text, re.IGNORECASE) is not None


def _plain(answer: str) -> str:
    return answer.strip().rstrip(".").casefold()
