"""HellaSwag: val, and train where shots are to be had from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from steering.data.evaluation.building import Evaluation
from steering.data.evaluation.official import Published, Question, copied, find, lines_file

FIELDS = (("activity_label", str), ("ctx_a", str), ("ctx_b", str), ("endings", list), ("label", (int, str)))
SHOTS = "hellaswag_train"


def _read(sources: Mapping[str, Path], splits: Sequence[str]) -> Published:
    (split,) = splits
    file = find(sources["hellaswag_val"], f"hellaswag_{split}.jsonl")
    keys = [None if row is None else (split, str(number)) for number, row in enumerate(file.lines(FIELDS), start=1)]
    found = [Question(*key, None) for key in keys if key is not None]
    published = Published(found, [lines_file(file, keys)], [file])
    if SHOTS in sources:
        train = find(sources[SHOTS], "hellaswag_train.jsonl")
        train.lines(FIELDS)
        published.add(Published([], [copied(train)], [train]))
    return published


HELLASWAG = Evaluation(
    name="hellaswag_eval",
    version=1,
    splits={"val": 10_042},
    default="val",
    sources=("hellaswag_val",),
    optional=(SHOTS,),
    read=_read,
)
