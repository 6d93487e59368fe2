"""TextVQA 0.5.1 val, with LLaVA's lines that have the OCR tokens in the prompt where its eval.zip is given.

LLaVA's lines name a question by its picture and words, so a sample takes all questions about a picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from steering.data.converters.pictures import Pictures, Place
from steering.data.evaluation.building import Evaluation
from steering.data.evaluation.llava import LLAVA_EVAL, TOPS
from steering.data.evaluation.official import Published, Question, find, json_file, lines_file
from steering.errors import DataError

PLACES = (Place("textvqa_images", tops=("", "train_images/", "train_val_images/train_images/")),)
FIELDS = (("question", str), ("image_id", str), ("question_id", int), ("answers", list))
LINE = (("question_id", str), ("image", str), ("text", str))


def _read(sources: Mapping[str, Path], splits: Sequence[str]) -> Published:
    published = Published([], [], [], Pictures(PLACES, sources))
    for split in splits:
        published.add(_annotated(split, sources))
        if LLAVA_EVAL in sources:
            _add_lines(published, split, sources[LLAVA_EVAL])
    return published


def _annotated(split: str, sources: Mapping[str, Path]) -> Published:
    file = find(sources["textvqa_annotations"], f"TextVQA_0.5.1_{split}.json")
    whole, rows = file.json, file.records(FIELDS, "data")
    found = [
        Question(split, str(row["question_id"]), f"{row['image_id']}.jpg", unit=str(row["image_id"])) for row in rows
    ]
    keys = [question.key for question in found]
    return Published(found, [json_file(file, rows, keys, lambda kept: whole | {"data": kept})], [file])


def _add_lines(published: Published, split: str, path: Path) -> None:
    file = find(path, f"llava_textvqa_{split}_v051_ocr.jsonl", [top + "textvqa/" for top in TOPS])
    rows = file.lines(LINE)
    about = {question.image: question.key for question in published.questions if question.split == split}
    strange = [row["image"] for row in rows if row is not None and row["image"] not in about]
    if strange:
        raise DataError(
            f"{file.where}: {len(strange)} lines are about pictures without a question in TextVQA_0.5.1_{split}.json: "
            f"{', '.join(strange[:10])}"
        )
    published.files.append(lines_file(file, [row and about[row["image"]] for row in rows]))
    published.official = [*published.official, file]


TEXTVQA = Evaluation(
    name="textvqa_eval",
    version=1,
    splits={"val": 5_000},
    default="val",
    sources=("textvqa_annotations", "textvqa_images"),
    optional=(LLAVA_EVAL,),
    read=_read,
)
