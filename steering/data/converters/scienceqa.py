"""ScienceQA's training split, with and without pictures: problems.json, pid_splits.json and train.zip.

Asked in LLaVA's CQM-A form, answered by the letter. A picture is named images/train/<pid>/image.png, as in evaluation.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from steering.data.converters.conversion import convert
from steering.data.converters.pictures import Place
from steering.data.converters.raw import asked, problems_of, read_json
from steering.data.converters.settings import check_sources, read_settings
from steering.errors import DataError

SOURCES = ("scienceqa_problems", "scienceqa_splits", "scienceqa_images")
PLACES = (Place("scienceqa_images", "images/train/"),)
FIELDS = (("question", str), ("choices", list), ("answer", int))
INSTRUCTION = "Answer with the option's letter from the given choices directly."


def convert_scienceqa(sources: Mapping[str, Path], out: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """sources: scienceqa_problems, scienceqa_splits, the files; scienceqa_images, train.zip or its folder."""
    known = read_settings("scienceqa", settings)
    check_sources("scienceqa", sources, SOURCES)
    return convert("scienceqa 1", _rows(sources), out, pictures=(PLACES, sources), settings=known)


def _rows(sources: Mapping[str, Path]) -> Iterator[dict[str, Any]]:
    path = sources["scienceqa_problems"]
    problems = read_json(path, ("problems.json",))
    splits = read_json(sources["scienceqa_splits"], ("pid_splits.json",))
    for pid, problem in problems_of("train", problems, splits, where=str(path), takes=FIELDS):
        image = f"images/train/{pid}/{problem['image']}" if problem.get("image") else None
        yield asked(pid, image, question(problem), _letter(problem, f"{path}: {pid}"))


def question(problem: Mapping[str, Any]) -> str:
    """What is asked, as in evaluation (CQM): context where there is a hint, question, lettered choices, instruction."""
    hint = (problem.get("hint") or "").strip()
    choices = zip(string.ascii_uppercase, problem["choices"], strict=False)
    context = [f"Context: {hint}"] if hint else []
    options = [f"{letter}. {choice}" for letter, choice in choices]
    return "\n".join([*context, problem["question"].strip(), *options, INSTRUCTION])


def _letter(problem: Mapping[str, Any], where: str) -> str:
    answer, allowed = problem["answer"], min(len(problem["choices"]), len(string.ascii_uppercase))
    if not 0 <= answer < allowed:
        raise DataError(f"{where}: answer {answer!r}; allowed is an index below {allowed}")
    return string.ascii_uppercase[answer]
