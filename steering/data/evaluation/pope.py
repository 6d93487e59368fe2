"""POPE on COCO: the three official files and, of val2014, the pictures that they name.

The random file is published with 2,910 lines (at the commit LLaVA pins) and with 3,000; either is taken, and the facts
say which. A sample takes whole pictures, whose yes and no are balanced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from steering.data.converters.pictures import Pictures, Place
from steering.data.evaluation.building import Evaluation
from steering.data.evaluation.official import Published, Question, find, lines_file

PLACES = (Place("coco_val2014", tops=("", "val2014/")),)
FIELDS = (("question_id", (int, str)), ("image", str), ("text", str), ("label", str))
KINDS = ("random", "popular", "adversarial")
KNOWN = {
    "coco_pope_random.json": {
        "c16b65d2df6d70bb0814c8a4375833d39cdb09928fd936d3fc546491efa37f35": "2,910 lines, the commit LLaVA pins",
        "ac25245170b975a5bdf9080b23fd431dfe6be458bc038259c1f4f09a6bef7994": "3,000 lines, POPE's head",
    },
    "coco_pope_popular.json": {
        "72c1a8ad45d0c13514f5f22598261df41d3b533854d29682e924db50ed8aa753": "3,000 lines, POPE's head"
    },
    "coco_pope_adversarial.json": {
        "420b3407db1fa9f1187a805dca41cb7b97fd91504e6c2179706188c107fb8ef8": "3,000 lines, POPE's head"
    },
}


def _read(sources: Mapping[str, Path], splits: Sequence[str]) -> Published:
    published = Published([], [], [], Pictures(PLACES, sources), known=KNOWN)
    (split,) = splits
    for kind in KINDS:
        file = find(sources[f"pope_{kind}"], f"coco_pope_{kind}.json")
        rows = file.lines(FIELDS)
        keys = [None if row is None else (split, f"{kind}/{row['question_id']}") for row in rows]
        found = [
            Question(*key, row["image"], unit=row["image"])
            for key, row in zip(keys, rows, strict=True)
            if key is not None
        ]
        published.add(Published(found, [lines_file(file, keys)], [file]))
    published.facts = {"lines": {kind: sum(q.id.startswith(f"{kind}/") for q in published.questions) for kind in KINDS}}
    return published


POPE = Evaluation(
    name="pope_eval",
    version=1,
    splits={"test": None},
    sources=(*(f"pope_{kind}" for kind in KINDS), "coco_val2014"),
    read=_read,
)
