"""IconQA's training split in MoReS's words, a data set a question type: txt (choose_txt) and blank (fill_in_blank).

From iconqa_data.zip or its folder. The answer is taught as the file has it: an index for txt, a string for blank. A
picture is named iconqa/train/<type>/<pid>/image.png, as in evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from steering.data.converters.conversion import convert
from steering.data.converters.pictures import Place
from steering.data.converters.raw import asked, check_records, problems_of, read_json
from steering.data.converters.settings import check_sources, read_settings

SOURCES = ("iconqa_data",)
PLACES = (Place("iconqa_data", tops=("", "iconqa_data/")),)
TOPS = ("", "iconqa_data/", "iconqa/")
FIELDS = (("question", str), ("answer", (str, int)), ("ques_type", str))
CHOOSE = "Choose an option from the choices to answer the question."
FILL = "Fill in the blanks in (_) or answer this question"


def convert_iconqa_txt(sources: Mapping[str, Path], out: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """sources: iconqa_data, the zip or its folder. See conversion.convert."""
    return _convert("iconqa_txt", "choose_txt", sources=sources, out=out, settings=settings)


def convert_iconqa_blank(sources: Mapping[str, Path], out: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """sources: iconqa_data, the zip or its folder. See conversion.convert."""
    return _convert("iconqa_blank", "fill_in_blank", sources=sources, out=out, settings=settings)


def _convert(
    name: str, kind: str, *, sources: Mapping[str, Path], out: Path, settings: Mapping[str, Any]
) -> dict[str, Any]:
    known = read_settings(name, settings)
    check_sources(name, sources, SOURCES)
    rows = _rows(sources["iconqa_data"], kind)
    return convert(f"{name} 1", rows, out, pictures=(PLACES, sources), settings=known)


def _rows(path: Path, kind: str) -> Iterator[dict[str, Any]]:
    problems, splits = (read_json(path, [top + name for top in TOPS]) for name in ("problems.json", "pid_splits.json"))
    found = problems_of("train", problems, splits, where=str(path), takes=FIELDS)
    wanted = [(pid, problem) for pid, problem in found if problem["ques_type"] == kind]
    if kind == "choose_txt":
        check_records(wanted, where=str(path), takes=(("choices", list),))
    for pid, problem in wanted:
        image = f"iconqa/train/{kind}/{pid}/image.png"
        yield asked(pid, image, question(problem), str(problem["answer"]).strip())


def question(problem: Mapping[str, Any]) -> str:
    """What is asked of a problem of either type."""
    text = problem["question"].strip()
    if problem["ques_type"] == "fill_in_blank":
        return f"{text} {FILL}"
    return f"{text} Choices: {', '.join(str(choice) for choice in problem['choices'])}. {CHOOSE}"
