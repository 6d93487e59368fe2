"""The easy-VQA data set (V. Zhou, MIT) in VQA v2's question and annotation files, its yes/no questions rebalanced.

Published, the yes/no questions are answered right four times in five from their text alone. Here every question text
of a split has as many "yes" as "no": the surplus is dropped at random. Pictures keep their original bytes (64 x 64).
`val` is made of pictures of the published train part; `test` of pictures of the published test part.
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from steering.data.embedded.writing import whole_folder, write_json
from steering.data.shards import write_images
from steering.data.sources import read_member, read_members
from steering.errors import DataError

GENERATOR = "easy_vqa 1"
ATTRIBUTION = "easy-VQA by Victor Zhou (github.com/vzhou842/easy-VQA), MIT."
PARTS = {"train": "train", "val": "train", "test": "test"}
SHAPES = ("circle", "rectangle", "triangle")
ANSWERS_PER_QUESTION = 10
IDS_PER_PICTURE = 1000

Row = tuple[str, str, int]


def build(sources: Mapping[str, Path], out: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Build the data set folder *out* from the wheel `easy_vqa`; same settings, same bytes.

    settings: train, val, test (pictures) and seed. Returns what the manifest records.
    Raises DataError where more pictures are asked for than the published part has.
    """
    wheel, seed = sources["easy_vqa"], settings["seed"]
    rows = {part: _published(wheel, part) for part in ("train", "test")}
    pictures = _choose_pictures(rows, settings)
    with whole_folder(out) as folder:
        counts = {}
        for split, part in PARTS.items():
            kept = rebalance(
                [row for row in rows[part] if row[2] in pictures[split]], random.Random(f"{seed}/easy_vqa/{split}")
            )
            counts[split] = {"pictures": len(pictures[split]), **_write_split(folder, split, kept)}
        write_images(folder, _picture_bytes(wheel, pictures))
    return {"generator": GENERATOR, "seed": seed, "attribution": ATTRIBUTION, "counts": counts}


def _published(wheel: Path, part: str) -> list[Row]:
    return [
        (text, answer, image)
        for text, answer, image in json.loads(read_member(wheel, f"easy_vqa/data/{part}/questions.json"))
    ]


def _choose_pictures(rows: Mapping[str, Sequence[Row]], settings: Mapping[str, Any]) -> dict[str, frozenset[int]]:
    """split -> picture numbers, seeded; val and train share no picture."""
    chosen: dict[str, frozenset[int]] = {}
    for part, splits in (("train", ("train", "val")), ("test", ("test",))):
        numbers = sorted({image for _, _, image in rows[part]})
        wanted = sum(settings[split] for split in splits)
        if wanted > len(numbers):
            raise DataError(
                f"easy_vqa: {' + '.join(splits)}: {wanted} pictures asked for; the published part has {len(numbers)}"
            )
        order = random.Random(f"{settings['seed']}/easy_vqa/pictures/{part}").sample(numbers, wanted)
        for split in splits:
            chosen[split], order = frozenset(order[: settings[split]]), order[settings[split] :]
    return chosen


def rebalance(rows: Sequence[Row], rng: random.Random) -> list[Row]:
    """*rows* without the surplus of "yes" or "no" of each question text; order kept, other answers untouched."""
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, (text, answer, _) in enumerate(rows):
        places[text, answer].append(place)
    dropped: set[int] = set()
    for text in sorted({text for text, answer in places if answer in ("yes", "no")}):
        yes, no = places.get((text, "yes"), []), places.get((text, "no"), [])
        larger, surplus = (yes, len(yes) - len(no)) if len(yes) > len(no) else (no, len(no) - len(yes))
        dropped.update(rng.sample(larger, surplus))
    return [row for place, row in enumerate(rows) if place not in dropped]


def _write_split(folder: Path, split: str, rows: Sequence[Row]) -> dict[str, int]:
    """Write the two VQA v2 files of a split; the number of questions of each type."""
    asked: Counter[int] = Counter()
    questions, annotations = [], []
    for text, answer, image in rows:
        question_id = image * IDS_PER_PICTURE + asked[image]
        asked[image] += 1
        questions.append({"image_id": image, "question": text, "question_id": question_id})
        annotations.append(_annotation(question_id, image, answer))
    write_json(folder / f"{split}_questions.json", {"questions": questions})
    write_json(folder / f"{split}_annotations.json", {"annotations": annotations})
    return dict(Counter(str(annotation["question_type"]) for annotation in annotations))


def _annotation(question_id: int, image: int, answer: str) -> dict[str, Any]:
    kind = question_type(answer)
    given = [{"answer": answer, "answer_confidence": "yes", "answer_id": k + 1} for k in range(ANSWERS_PER_QUESTION)]
    return {
        "question_id": question_id,
        "image_id": image,
        "question_type": kind,
        "answer_type": "yes/no" if kind == "yes/no" else "other",
        "multiple_choice_answer": answer,
        "answers": given,
    }


def question_type(answer: str) -> str:
    """ "yes/no", "shape" or "colour": what a question with *answer* asks for."""
    if answer in ("yes", "no"):
        return "yes/no"
    return "shape" if answer in SHAPES else "colour"


def _picture_bytes(wheel: Path, pictures: Mapping[str, frozenset[int]]) -> list[tuple[str, bytes]]:
    members = {
        f"{split}/{number}.png": f"easy_vqa/data/{part}/images/{number}.png"
        for split, part in PARTS.items()
        for number in sorted(pictures[split])
    }
    contents = read_members(wheel, members.values())
    return [(name, contents[member]) for name, member in members.items()]
