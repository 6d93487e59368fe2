"""A few test questions of each benchmark with every arm's answer, chosen the same way each time.

Half of the places go to questions on which the arms disagree, taken in turn from each pattern of right and wrong, a
quarter to those all arms get right, a quarter to those none does; within a kind the order is that of a hash of the id.
So a gallery shows what happens, and says nothing about how often.
"""

from __future__ import annotations

import base64
import hashlib
import io
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

from PIL import Image

Picture = Callable[[str, str], bytes | None]
COUNT = 12
SIDE = 320  # pixels; larger pictures are shrunk
KEPT_BYTES = 40_000
RIGHT = 0.5  # a question with partial credit counts as right from here


@dataclass(frozen=True)
class Said:
    """One arm's answer to one question."""

    arm: str
    answer: str
    right: bool


@dataclass(frozen=True)
class Card:
    """One question of the gallery; tags name the filters that show it; picture is a data: address or empty."""

    benchmark: str
    id: str
    question: str
    truth: str
    said: tuple[Said, ...]
    tags: tuple[str, ...]
    picture: str = ""


def cards(
    benchmark: str,
    answers: Mapping[str, Sequence[Mapping[str, Any]]],
    correct: Mapping[str, Mapping[str, float]],
    *,
    control: str,
    picture: Picture,
    count: int = COUNT,
) -> list[Card]:
    """The cards of one benchmark.

    *answers*: the prediction records of each arm (one seed); *correct*: {arm: {id: 0..1}}. Only questions that all of
    these arms answered are shown.
    """
    arms = [arm for arm in answers if arm in correct]
    records = {arm: {str(record["id"]): record for record in answers[arm]} for arm in arms}
    shared = (
        [key for key in records[arms[0]] if all(key in records[arm] and key in correct[arm] for arm in arms)]
        if arms
        else []
    )
    patterns = {key: tuple(correct[arm][key] >= RIGHT for arm in arms) for key in shared}
    return [
        _card(benchmark, {arm: records[arm][key] for arm in arms}, patterns[key], control, picture)
        for key in choose(patterns, count)
    ]


def choose(patterns: Mapping[str, tuple[bool, ...]], count: int = COUNT) -> list[str]:
    """*count* ids out of {id: who is right}, as the head of this file says; fewer where there are fewer."""
    ordered = sorted(patterns, key=_draw)
    kinds: dict[tuple[bool, ...], list[str]] = {}
    for key in ordered:
        kinds.setdefault(patterns[key], []).append(key)
    mixed = [kinds[kind] for kind in sorted(kinds) if len(set(kind)) > 1]
    disagree = [key for key in chain.from_iterable(zip_longest(*mixed)) if key is not None]
    right = [key for key in ordered if all(patterns[key])]
    wrong = [key for key in ordered if not any(patterns[key])]
    first = disagree[: count - 2 * (count // 4)] + right[: count // 4] + wrong[: count // 4]
    rest = [key for key in disagree + right + wrong if key not in set(first)]
    return (first + rest)[:count]


def filters(arms: Sequence[str], control: str) -> list[tuple[str, str]]:
    """(tag, words) of the buttons above the gallery."""
    pairs = [(arm, f"{arm} right, \u2018{control}\u2019 wrong") for arm in arms if arm != control and control in arms]
    own = [(f"won-{arm}", words) for arm, words in pairs]
    own += [(f"lost-{arm}", f"{arm} wrong, \u2018{control}\u2019 right") for arm, _ in pairs]
    return [("all", "all"), ("disagree", "arms disagree"), *own, ("right", "all right"), ("wrong", "all wrong")]


def data_address(image: bytes) -> str:
    """*image* as a data: address; a PNG, shrunk, or a JPEG where even that is large."""
    with Image.open(io.BytesIO(image)) as opened:
        kept, kind = opened.convert("RGB"), "png"
    if max(kept.size) > SIDE:
        kept.thumbnail((SIDE, SIDE))
    encoded = _encoded(kept, "PNG")
    if len(encoded) > KEPT_BYTES:
        encoded, kind = _encoded(kept, "JPEG", quality=82), "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode()}"


def _encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, optimize=True, **options)
    return file.getvalue()


def _draw(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _card(
    benchmark: str, records: Mapping[str, Mapping[str, Any]], pattern: Sequence[bool], control: str, picture: Picture
) -> Card:
    said = tuple(
        Said(arm, _shown(record, str(record["answer"])), right)
        for (arm, record), right in zip(records.items(), pattern, strict=True)
    )
    record = next(iter(records.values()))
    image = picture(benchmark, record["image"]) if record["image"] else None
    return Card(
        benchmark=benchmark,
        id=str(record["id"]),
        question=str(record["question"] or record["prompt"]),
        truth=_shown(record, str(record["target"])),
        said=said,
        tags=_tags({entry.arm: entry.right for entry in said}, control),
        picture=data_address(image) if image else "",
    )


def _shown(record: Mapping[str, Any], answer: str) -> str:
    """*answer*, with the choice that it names where it is a lone letter."""
    letter, choices = answer.strip().rstrip("."), record["choices"]
    at = string.ascii_uppercase.find(letter) if len(letter) == 1 else -1
    return f"{letter}: {choices[at]}" if 0 <= at < len(choices) else answer


def _tags(right: Mapping[str, bool], control: str) -> tuple[str, ...]:
    if all(right.values()):
        return ("all", "right")
    if not any(right.values()):
        return ("all", "wrong")
    told = right.get(control)
    others = {arm: value for arm, value in right.items() if arm != control and told is not None and value != told}
    return ("all", "disagree", *(f"{'won' if value else 'lost'}-{arm}" for arm, value in others.items()))
