"""ScienceQA's test and val, with their pictures, and LLaVA's llava_test_CQM-A.json where its eval.zip is given.

problems.json and pid_splits.json are written with the splits that are built and no others.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from steering.data.converters.pictures import Pictures, Place
from steering.data.converters.raw import problems_of
from steering.data.converters.scienceqa import FIELDS
from steering.data.evaluation.building import Evaluation
from steering.data.evaluation.llava import LLAVA_EVAL, TOPS
from steering.data.evaluation.official import Key, Published, Question, Written, dump, find, json_file
from steering.errors import DataError

SPLITS_SHA256 = {"85c7820b9f136e572579a01dab2c77a7f8140b59211e421fa5182491d45ee3a7": "the official repository's"}
LLAVA_SPLIT = "test"


def _read(sources: Mapping[str, Path], splits: Sequence[str]) -> Published:
    places = [Place(f"scienceqa_{split}_images", f"images/{split}/") for split in splits]
    problems = find(sources["scienceqa_problems"], "problems.json")
    told = find(sources["scienceqa_splits"], "pid_splits.json")
    asked = {
        (split, pid): problem
        for split in splits
        for pid, problem in problems_of(split, problems.json, told.json, where=problems.where, takes=FIELDS)
    }
    found = [Question(split, pid, _image(split, pid, problem)) for (split, pid), problem in asked.items()]
    published = Published(
        found,
        split_files(asked),
        [problems, told],
        Pictures(places, sources),
        known={told.name: SPLITS_SHA256},
    )
    if LLAVA_EVAL in sources and LLAVA_SPLIT in splits:
        _add_llava(published, sources[LLAVA_EVAL])
    return published


def _image(split: str, pid: str, problem: Mapping[str, Any]) -> str | None:
    return f"images/{split}/{pid}/{problem['image']}" if problem.get("image") else None


def split_files(asked: Mapping[Key, Any]) -> list[Written]:
    """problems.json and pid_splits.json of these problems alone; IconQA's have the same shape."""

    def problems(kept: Container[Key]) -> bytes:
        return dump({key[1]: problem for key, problem in asked.items() if key in kept})

    def splits(kept: Container[Key]) -> bytes:
        names = dict.fromkeys(split for split, _ in asked)
        return dump({name: [pid for split, pid in asked if split == name and (split, pid) in kept] for name in names})

    keys = frozenset(asked)
    return [Written("problems.json", problems, keys), Written("pid_splits.json", splits, keys)]


def _add_llava(published: Published, path: Path) -> None:
    file = find(path, f"llava_{LLAVA_SPLIT}_CQM-A.json", [top + "scienceqa/" for top in TOPS])
    rows = file.records((("id", (str, int)), ("conversations", list)))
    images = {question.id: question.image for question in published.questions if question.split == LLAVA_SPLIT}
    _check_llava(file.where, rows, images)
    published.files.append(json_file(file, rows, [(LLAVA_SPLIT, str(row["id"])) for row in rows]))
    published.official = [*published.official, file]


def _check_llava(where: str, rows: Sequence[Mapping[str, Any]], images: Mapping[str, str | None]) -> None:
    """Raises DataError where LLaVA's rows are not the questions of the split, or show other pictures."""
    named = {str(row["id"]): row.get("image") for row in rows}
    faults = [f"{pid}: not asked" for pid in images if pid not in named]
    faults += [f"{pid}: no question of {LLAVA_SPLIT}" for pid in named if pid not in images]
    faults += [
        f"{pid}: picture {image}"
        for pid, image in named.items()
        if image and pid in images and f"images/{LLAVA_SPLIT}/{image}" != images[pid]
    ]
    if faults:
        more = f"; and {len(faults) - 10} more" if len(faults) > 10 else ""
        raise DataError(f"{where}: {len(faults)} rows do not fit problems.json: {'; '.join(faults[:10])}{more}")


SCIENCEQA = Evaluation(
    name="scienceqa_eval",
    version=1,
    splits={"test": 4_241, "val": 4_241},
    sources=("scienceqa_problems", "scienceqa_splits"),
    split_sources={split: (f"scienceqa_{split}_images",) for split in ("test", "val")},
    optional=(LLAVA_EVAL,),
    read=_read,
)
