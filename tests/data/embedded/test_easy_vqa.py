"""easy-VQA comes in VQA v2's shape, with even yes/no questions and no picture in two splits."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest

from steering.data.embedded.easy_vqa import build, question_type, rebalance
from steering.data.shards import ImageArchive
from steering.errors import DataError

SETTINGS = {"train": 8, "val": 4, "test": 6, "seed": 0}


@pytest.fixture(scope="module")
def built(easy_vqa_wheel, tmp_path_factory):
    out = tmp_path_factory.mktemp("world") / "easy_vqa"
    return out, build(easy_vqa_wheel, out, SETTINGS)


def pairs(out, split):
    questions = json.loads((out / f"{split}_questions.json").read_text())["questions"]
    annotations = json.loads((out / f"{split}_annotations.json").read_text())["annotations"]
    return list(zip(questions, annotations, strict=True))


def test_questions_and_annotations_belong_together(built):
    out, _ = built
    for split in ("train", "val", "test"):
        ids = [question["question_id"] for question, _ in pairs(out, split)]
        assert ids == [annotation["question_id"] for _, annotation in pairs(out, split)]
        assert len(set(ids)) == len(ids)


def test_an_annotation_has_ten_answers_and_its_types(built):
    out, _ = built
    for _, annotation in pairs(out, "train"):
        given = annotation["answers"]
        assert [answer["answer_id"] for answer in given] == list(range(1, 11))
        assert {answer["answer"] for answer in given} == {annotation["multiple_choice_answer"]}
        assert (annotation["answer_type"] == "yes/no") == (annotation["question_type"] == "yes/no")


def test_yes_and_no_are_even_per_question_text(built):
    out, _ = built
    for split in ("train", "val", "test"):
        answers = Counter(a["multiple_choice_answer"] for _, a in pairs(out, split) if a["question_type"] == "yes/no")
        assert answers["yes"] == answers["no"]


def test_pictures_are_original_bytes_and_in_one_split_only(built, easy_vqa_wheel):
    out, facts = built
    archive = ImageArchive(out)
    names = archive.names()
    assert len({archive.identity(name) for name in names}) == len(names) == 18
    assert {split: facts["counts"][split]["pictures"] for split in SETTINGS if split != "seed"} == {
        "train": 8,
        "val": 4,
        "test": 6,
    }
    for split in ("train", "val", "test"):
        assert {f"{split}/{question['image_id']}.png" for question, _ in pairs(out, split)} <= set(names)


def test_rebalancing_drops_only_the_surplus():
    rows = [("q?", "yes", k) for k in range(5)] + [("q?", "no", 9), ("only?", "yes", 1), ("what?", "red", 1)]
    kept = rebalance(rows, random.Random(0))
    assert Counter(answer for text, answer, _ in kept if text == "q?") == {"yes": 1, "no": 1}
    assert [text for text, _, _ in kept if text != "q?"] == ["what?"]


def test_the_answer_tells_the_question_type():
    assert [question_type(answer) for answer in ("no", "circle", "teal")] == ["yes/no", "shape", "colour"]


def test_the_same_settings_give_the_same_bytes(built, easy_vqa_wheel, tmp_path):
    out, _ = built
    build(easy_vqa_wheel, tmp_path / "again", SETTINGS)
    assert all(path.read_bytes() == (tmp_path / "again" / path.name).read_bytes() for path in out.iterdir())


def test_more_pictures_than_published_are_refused(easy_vqa_wheel, tmp_path):
    with pytest.raises(DataError, match="13 pictures asked for; the published part has 12"):
        build(easy_vqa_wheel, tmp_path / "x", {**SETTINGS, "train": 9})
