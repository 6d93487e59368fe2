"""GQA's balanced questions, testdev first of all, out of questions1.2.zip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from steering.data.converters.pictures import Pictures, Place
from steering.data.evaluation.building import Evaluation
from steering.data.evaluation.official import Published, Question, find, json_file

PLACES = (Place("gqa_images", tops=("", "images/", "gqa/images/")),)
FIELDS = (("question", str), ("imageId", str), ("answer", str))


def _read(sources: Mapping[str, Path], splits: Sequence[str]) -> Published:
    published = Published([], [], [], Pictures(PLACES, sources))
    for split in splits:
        name = f"{split}_balanced_questions.json"
        file = find(sources["gqa_questions"], name, ("", "questions1.2/", "questions/"))
        rows = file.named_records(FIELDS)
        found = [Question(split, number, f"{row['imageId']}.jpg") for number, row in rows.items()]
        written = json_file(file, list(rows.items()), [question.key for question in found], dict)
        published.add(Published(found, [written], [file]))
    return published


GQA = Evaluation(
    name="gqa_eval",
    version=1,
    splits={"testdev": 12_578, "val": None},
    default="testdev",
    sources=("gqa_questions", "gqa_images"),
    read=_read,
)
