"""MM-Vet: mm-vet.json and its pictures, out of mm-vet.zip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from steering.data.converters.pictures import Pictures, Place
from steering.data.evaluation.building import Evaluation
from steering.data.evaluation.official import Published, Question, find, json_file

TOPS = ("", "mm-vet/")
PLACES = (Place("mmvet", "images/", tops=TOPS),)
FIELDS = (("imagename", str), ("question", str), ("answer", (str, int, float)), ("capability", list))


def _read(sources: Mapping[str, Path], splits: Sequence[str]) -> Published:
    (split,) = splits
    file = find(sources["mmvet"], "mm-vet.json", TOPS)
    rows = file.named_records(FIELDS)
    found = [Question(split, name, f"images/{row['imagename']}") for name, row in rows.items()]
    written = json_file(file, list(rows.items()), [question.key for question in found], dict)
    return Published(found, [written], [file], Pictures(PLACES, sources))


MMVET = Evaluation(name="mmvet_eval", version=1, splits={"test": 218}, sources=("mmvet",), read=_read)
