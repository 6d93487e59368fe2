"""VizWiz's training split, one answer a question: train.json of Annotations.zip, and train.zip.

The answer is "Unanswerable" where answerable is 0; else one of the answers given with confidence yes (weight 3) or
maybe (weight 1) that are not "unanswerable" themselves. It is drawn by a generator of its own, seeded by (answer_seed,
picture), not by one generator in file order: the published order of draws is not known, so its very draws cannot be
had, and this way a question's answer stays the same whatever rows are dropped, sampled or put in another order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

from steering.data.converters.conversion import convert
from steering.data.converters.pictures import Place
from steering.data.converters.raw import asked, check_records, read_json
from steering.data.converters.settings import check_sources, read_settings
from steering.errors import DataError

SOURCES = ("vizwiz_annotations", "vizwiz_images")
PLACES = (Place("vizwiz_images", tops=("", "train/")),)
MEMBERS = ("train.json", "Annotations/train.json", "annotations/train.json")
FIELDS = (("image", str), ("question", str), ("answers", list), ("answerable", int))
WEIGHTS = {"yes": 3, "maybe": 1}
UNANSWERABLE = "Unanswerable"
INSTRUCTION = (
    "When the provided information is insufficient, respond with 'Unanswerable'.\n"
    "Answer the question using a single word or phrase."
)


def convert_vizwiz(sources: Mapping[str, Path], out: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """sources: vizwiz_annotations, Annotations.zip, its folder or train.json; vizwiz_images, train.zip or its folder.

    A question that has only answers given without confidence is dropped, as "no answer".
    """
    known = read_settings("vizwiz", settings, policy="drop")
    check_sources("vizwiz", sources, SOURCES)
    rows = _rows(sources["vizwiz_annotations"], known.answer_seed)
    return convert("vizwiz 1", rows, out, pictures=(PLACES, sources), settings=known)


def _rows(path: Path, seed: int) -> Iterator[dict[str, Any]]:
    records = read_json(path, MEMBERS)
    if not isinstance(records, list):
        raise DataError(f"{path}: train.json holds a {type(records).__name__}; it takes a list of questions")
    check_records(((f"record {at}", record) for at, record in enumerate(records)), where=str(path), takes=FIELDS)
    for record in records:
        name = record["image"]
        answer = draw_answer(record, Random(f"{seed}/{name}"))
        identifier = name.rsplit(".", 1)[0]
        yield asked(identifier, name, f"{record['question'].strip()}\n{INSTRUCTION}", answer)


def draw_answer(record: Mapping[str, Any], random: Random) -> str:
    """The answer taught for *record*; an empty one where none was given with confidence."""
    if record["answerable"] == 0:
        return UNANSWERABLE
    usable = [pair for pair in map(_weighted, record["answers"]) if pair[1]]
    if not usable:
        return ""
    said, weights = zip(*usable, strict=True)
    return str(random.choices(said, weights)[0])


def _weighted(given: Any) -> tuple[str, int]:
    """One given answer and its weight, 0 where it is not to be taught."""
    answer = given.get("answer") if isinstance(given, Mapping) else None
    if not isinstance(answer, str) or answer.strip().lower() in ("", UNANSWERABLE.lower()):
        return "", 0
    return answer.strip(), WEIGHTS.get(str(given.get("answer_confidence")), 0)
