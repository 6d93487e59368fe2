"""HallusionBench: HallusionBench.json and its pictures, out of hallusion_bench.zip.

A sample takes whole sets, whose figures and pairs of questions are scored together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from steering.data.converters.pictures import Pictures, Place
from steering.data.converters.raw import Field
from steering.data.evaluation.building import Evaluation
from steering.data.evaluation.official import Published, Question, find, json_file

PLACES = (Place("hallusion_images", tops=("", "hallusion_bench/")),)
FIELDS: tuple[Field, ...] = (
    *((name, (str, int)) for name in ("set_id", "figure_id", "question_id", "visual_input", "gt_answer")),
    *((name, str) for name in ("category", "subcategory", "question")),
    ("filename", (str, type(None))),
)
KNOWN = {
    "HallusionBench.json": {
        "ca6e0fb677dd56e5fb0e2700d06c58d01f8a6ae66e0f1773b2ac48c0a095d051": "1,129 questions, the official repository's"
    }
}


def _read(sources: Mapping[str, Path], splits: Sequence[str]) -> Published:
    (split,) = splits
    file = find(sources["hallusion_questions"], "HallusionBench.json")
    rows = file.records(FIELDS)
    found = [Question(split, str(number), _image(row), unit=_set(row)) for number, row in enumerate(rows)]
    written = json_file(file, rows, [question.key for question in found])
    return Published(found, [written], [file], Pictures(PLACES, sources), known=KNOWN)


def _image(row: Mapping[str, Any]) -> str | None:
    return row["filename"].removeprefix("./") if row["filename"] else None


def _set(row: Mapping[str, Any]) -> str:
    return "/".join(str(row[name]) for name in ("category", "subcategory", "set_id"))


HALLUSION = Evaluation(
    name="hallusion_eval",
    version=1,
    splits={"test": 1_129},
    sources=("hallusion_questions", "hallusion_images"),
    read=_read,
)
