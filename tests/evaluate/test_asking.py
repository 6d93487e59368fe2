"""Questions of a world's benchmarks, found where the layout says, with pictures named across data sets."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from steering import layout
from steering.data.shards import write_images
from steering.errors import DataError
from steering.evaluate.asking import Asked

POPE = {"form": "pope", "dataset": "icons", "folder": "pope", "subset": "random", "instruction": True}
MMLU = {"form": "mmlu", "dataset": "countries", "folder": "mmlu", "subset": None, "instruction": False}
INSTRUCTION = "Answer the question using a single word or phrase."


def png(level: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (2, 2), (level, 0, 0)).save(content, "PNG")
    return content.getvalue()


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Four pictures (the last is the first again) with three questions each, and one question of text."""
    monkeypatch.chdir(tmp_path)
    icons, countries = layout.dataset("small", "icons"), layout.dataset("small", "countries")
    write_images(icons, [(f"{number}.png", png(number % 3)) for number in range(4)])
    rows = [
        {"question_id": 3 * number + part, "image": f"{number}.png", "text": f"Is there a {part}?", "label": "yes"}
        for number in range(4)
        for part in range(3)
    ]
    (icons / "pope" / "test").mkdir(parents=True)
    (icons / "pope" / "test" / "random.json").write_text("\n".join(json.dumps(row) for row in rows))
    (countries / "mmlu" / "test").mkdir(parents=True)
    (countries / "mmlu" / "test" / "capital_test.csv").write_text("Capital?,a,b,c,d,B\n")
    return Asked("small")


def test_examples_are_those_of_the_form_under_the_layouts_folder(asked: Asked) -> None:
    examples = asked.examples(POPE, "test")
    assert len(examples) == 12
    assert examples[0].prompt == f"Is there a 0?\n{INSTRUCTION}"


def test_a_bare_benchmark_is_asked_without_the_instruction(asked: Asked) -> None:
    bare: dict[str, Any] = POPE | {"instruction": False}
    assert asked.examples(bare, "test")[0].prompt == "Is there a 0?"
    assert asked.examples(MMLU, "test")[0].prompt == "Capital?\nA. a\nB. b\nC. c\nD. d"


def test_a_picture_is_named_with_its_data_set(asked: Asked) -> None:
    pictured, text = asked.examples(POPE, "test")[3], asked.examples(MMLU, "test")[0]
    assert asked.picture(POPE, pictured) == "icons/1.png"
    assert asked.picture(MMLU, text) is None


def test_questions_on_equal_pictures_are_one_group(asked: Asked) -> None:
    groups = [asked.group(POPE, example) for example in asked.examples(POPE, "test")]
    assert groups[:3] == groups[9:] == [asked.archive("icons").identity("0.png")] * 3
    assert len(set(groups)) == 3


def test_a_question_of_text_is_a_group_by_itself(asked: Asked) -> None:
    assert asked.group(MMLU, asked.examples(MMLU, "test")[0]) == "countries/mmlu/capital/1"


def test_a_draw_counts_equal_pictures_as_one(asked: Asked) -> None:
    drawn = asked.draw(POPE, "test", {"questions": 100, "per_picture": 2}, seed=0)
    assert len(drawn) == 6
    assert drawn == asked.draw(POPE, "test", {"questions": 100, "per_picture": 2}, seed=0)
    assert len(asked.draw(MMLU, "test", {"questions": 100, "per_picture": 2}, seed=0)) == 1


def test_a_missing_split_is_named(asked: Asked) -> None:
    with pytest.raises(DataError, match=r"data/small/icons/pope/val/random\.json: not found"):
        asked.examples(POPE, "val")


def test_another_official_split_stands_for_ours(asked: Asked) -> None:
    told: dict[str, Any] = POPE | {"splits": {"val": "test"}}
    assert asked.examples(told, "val") == asked.examples(POPE, "test")


def test_a_split_that_is_not_told_is_not_there(asked: Asked) -> None:
    told: dict[str, Any] = POPE | {"splits": {"test": "test"}}
    assert asked.examples(told, "train") == []
    assert asked.draw(told, "train", {"questions": 1, "per_picture": 1}, seed=0) == []


def test_without_a_share_all_is_asked_in_the_order_of_the_file(asked: Asked) -> None:
    assert asked.draw(POPE, "test", None, seed=0) == asked.examples(POPE, "test")
