"""VizWiz's val, scored here, and test, to submit: out of Annotations.zip and each split's zip of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from steering.data.converters.pictures import Pictures, Place
from steering.data.evaluation.building import Evaluation
from steering.data.evaluation.official import Published, Question, find, json_file

TOPS = ("", "Annotations/", "annotations/")
FIELDS = (("image", str), ("question", str))
ANSWERED = (*FIELDS, ("answers", list), ("answerable", int))


def _read(sources: Mapping[str, Path], splits: Sequence[str]) -> Published:
    places = [Place(f"vizwiz_{split}_images", f"VizWiz_{split}_", tops=("", f"{split}/")) for split in splits]
    published = Published([], [], [], Pictures(places, sources))
    for split in splits:
        file = find(sources["vizwiz_annotations"], f"{split}.json", TOPS)
        rows = file.records(FIELDS if split == "test" else ANSWERED)
        found = [Question(split, row["image"], row["image"]) for row in rows]
        published.add(Published(found, [json_file(file, rows, [question.key for question in found])], [file]))
    return published


VIZWIZ = Evaluation(
    name="vizwiz_eval",
    version=1,
    splits={"val": 4_319, "test": 8_000},
    default="val",
    sources=("vizwiz_annotations",),
    split_sources={split: (f"vizwiz_{split}_images",) for split in ("val", "test")},
    read=_read,
)
