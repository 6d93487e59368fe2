"""VQAv2: val with its references, out of the official zips, and LLaVA's lines of test-dev and test, to submit.

The server takes an answer to every question of test also where only test-dev is asked, so its lines come with both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from steering.data.converters.pictures import Pictures, Place
from steering.data.evaluation.building import Evaluation
from steering.data.evaluation.llava import LLAVA_EVAL, TOPS
from steering.data.evaluation.official import Official, Published, Question, copied, find, json_file, lines_file
from steering.errors import DataError

PLACES = (
    Place("coco_val2014", "COCO_val2014_", tops=("", "val2014/")),
    Place("coco_test2015", "COCO_test2015_", tops=("", "test2015/")),
)
LINES = {"test-dev": "llava_vqav2_mscoco_test-dev2015.jsonl", "test": "llava_vqav2_mscoco_test2015.jsonl"}
QUESTION = (("question_id", int), ("image_id", int), ("question", str))
ANNOTATION = (("question_id", int), ("multiple_choice_answer", str), ("answers", list))
LINE = (("question_id", int), ("image", str), ("text", str))


def _read(sources: Mapping[str, Path], splits: Sequence[str]) -> Published:
    places = [place for place in PLACES if place.source in sources]
    published = Published([], [], [], Pictures(places, sources))
    for split in splits:
        published.add(_asked(split, sources) if split in LINES else _annotated(split, sources))
    if "test-dev" in splits and "test" not in splits:
        lines = _lines("test", sources)
        published.add(Published([], [copied(lines)], [lines]))
    return published


def _annotated(split: str, sources: Mapping[str, Path]) -> Published:
    asked = find(sources["vqav2_questions"], f"v2_OpenEnded_mscoco_{split}2014_questions.json")
    told = find(sources["vqav2_annotations"], f"v2_mscoco_{split}2014_annotations.json")
    whole, notes = asked.json, told.json
    rows = asked.records(QUESTION, "questions")
    answers = told.records(ANNOTATION, "annotations")
    _check_answered(rows, answers, told)
    found = [Question(split, str(row["question_id"]), f"COCO_{split}2014_{row['image_id']:012d}.jpg") for row in rows]
    keys = [question.key for question in found]
    noted = [(split, str(row["question_id"])) for row in answers]
    files = [
        json_file(asked, rows, keys, lambda kept: whole | {"questions": kept}),
        json_file(told, answers, noted, lambda kept: notes | {"annotations": kept}),
    ]
    return Published(found, files, [asked, told])


def _check_answered(rows: Sequence[dict], answers: Sequence[dict], told: Official) -> None:
    known = {row["question_id"] for row in answers}
    missing = [str(row["question_id"]) for row in rows if row["question_id"] not in known]
    if missing:
        more = f", and {len(missing) - 10} more" if len(missing) > 10 else ""
        raise DataError(f"{told.where}: {len(missing)} questions have no annotation: {', '.join(missing[:10])}{more}")


def _asked(split: str, sources: Mapping[str, Path]) -> Published:
    lines = _lines(split, sources)
    rows = lines.lines(LINE)
    found = [Question(split, str(row["question_id"]), row["image"]) for row in rows if row is not None]
    keys = [None if row is None else (split, str(row["question_id"])) for row in rows]
    return Published(found, [lines_file(lines, keys)], [lines])


def _lines(split: str, sources: Mapping[str, Path]) -> Official:
    return find(sources[LLAVA_EVAL], LINES[split], [top + "vqav2/" for top in TOPS])


VQAV2 = Evaluation(
    name="vqav2_eval",
    version=1,
    splits={"val": 214_354, "test-dev": 107_394, "test": None},
    default="val",
    split_sources={
        "val": ("vqav2_questions", "vqav2_annotations", "coco_val2014"),
        "test-dev": (LLAVA_EVAL, "coco_test2015"),
        "test": (LLAVA_EVAL, "coco_test2015"),
    },
    read=_read,
)
