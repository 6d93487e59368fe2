"""IconQA's questions to choose a text and to fill in a blank, test and val, out of iconqa_data.zip.

choose_img is left out. problems.json and pid_splits.json are written with what is built and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from steering.data.converters.iconqa import FIELDS, PLACES, TOPS
from steering.data.converters.pictures import Pictures
from steering.data.converters.raw import check_records, problems_of
from steering.data.evaluation.building import Evaluation
from steering.data.evaluation.official import Published, Question, find
from steering.data.evaluation.scienceqa import split_files

TYPES = ("choose_txt", "fill_in_blank")


def _read(sources: Mapping[str, Path], splits: Sequence[str]) -> Published:
    problems, told = (find(sources["iconqa_data"], name, TOPS) for name in ("problems.json", "pid_splits.json"))
    asked = {
        (split, pid): problem
        for split in splits
        for pid, problem in problems_of(split, problems.json, told.json, where=problems.where, takes=FIELDS)
        if problem["ques_type"] in TYPES
    }
    chosen = [(pid, problem) for (_, pid), problem in asked.items() if problem["ques_type"] == "choose_txt"]
    check_records(chosen, where=problems.where, takes=(("choices", list),))
    found = [
        Question(split, pid, f"iconqa/{split}/{problem['ques_type']}/{pid}/image.png")
        for (split, pid), problem in asked.items()
    ]
    kinds = Counter(problem["ques_type"] for problem in asked.values())
    return Published(
        found,
        split_files(asked),
        [problems, told],
        Pictures(PLACES, sources),
        facts={"types": {kind: kinds[kind] for kind in TYPES}},
    )


ICONQA = Evaluation(
    name="iconqa_eval",
    version=1,
    splits={"test": 6_316 + 3_638, "val": 6_316 + 3_638},
    sources=("iconqa_data",),
    read=_read,
)
