"""LLaVA-665K in small: every picture set in its own archive, text-only rows, and the faults its threads tell of."""

from __future__ import annotations

import pytest
from published import check_whole, row, save_folder, save_json, written

from steering.data.converters import CONVERTERS
from steering.errors import DataError
from tests.official_writing import picture, save_zip

NAMES = {
    "coco_train2017": ("coco/train2017/000000033471.jpg", "train2017/000000033471.jpg"),
    "gqa_images": ("gqa/images/2354786.jpg", "images/2354786.jpg"),
    "ocrvqa_images": ("ocr_vqa/images/140031996.jpg", "images/140031996.jpg"),
    "textvqa_images": ("textvqa/train_images/011e7e629fb9ae7b.jpg", "train_images/011e7e629fb9ae7b.jpg"),
    "vg_images": ("vg/VG_100K/2.jpg", "VG_100K/2.jpg"),
    "vg_images_2": ("vg/VG_100K_2/1.jpg", "VG_100K_2/1.jpg"),
}


def sources(folder, extra=()):
    """Raw files with two rows a picture, two rows of text, and *extra* ones; OCR-VQA as a folder, the rest zips."""
    found, rows = {}, []
    for number, (source, (name, member)) in enumerate(NAMES.items()):
        save = save_folder if source == "ocrvqa_images" else save_zip
        suffix = "" if source == "ocrvqa_images" else ".zip"
        found[source] = save(folder / f"{source}{suffix}", {member: picture(number)})
        rows += [row(f"{number}{part}", name, "<image>\nWhat?", "It.", "Sure?", "Yes.") for part in "ab"]
    rows += [row(f"{name}_0", None, "Hello", "Hi", model="") for name in ("wgByO4Y", "k3Jx0")]
    return found | {"llava665k_json": save_json(folder / "llava_v1_5_mix665k.json", [*rows, *extra])}


def test_every_picture_set_and_the_rows_of_text_are_taken_and_counted(tmp_path):
    facts = CONVERTERS["llava665k"](sources(tmp_path / "raw"), tmp_path / "out", {"policy": "strict"})
    found = check_whole(tmp_path / "out", facts)
    assert {one.image for one in found} == {name for name, _ in NAMES.values()} | {None}
    assert facts["counts"]["by_source"] == dict.fromkeys((*NAMES, "text"), 2)
    assert facts["counts"]["text_only"] == 2
    assert facts["counts"]["pictures_distinct"] == 6


EXTRA = [
    row("0a", "coco/train2017/000000033471.jpg", "<image>\n<image>\nWhat?", "It."),
    row("odd", "gqa/images/2354786.jpg", "<image>\nWhat?", "It.", "And?"),
    row("order", "gqa/images/2354786.jpg", "<image>\nWhat?", "It.", conversations=[
        {"from": "gpt", "value": "It."}, {"from": "human", "value": "<image>\nWhat?"}]),
    row("shuffled", None, conversations=[{"from": "human", "value": "a"}] * 2),
    row("empty", None, "Hello", ""),
    row("gone", "ocr_vqa/images/9999.jpg", "<image>\nWho?", "He."),
    row("foreign", "flickr/1.jpg", "<image>\nWho?", "He."),
    row("gif", "ocr_vqa/images/77.jpg", "<image>\nWho?", "She."),
    row("mislabelled", "ocr_vqa/images/78.jpg", "<image>\nWho?", "It."),
    row("dead", "ocr_vqa/images/79.jpg", "<image>\nWho?", "Nobody."),
]  # fmt: skip


def faulty(folder):
    found = sources(folder, EXTRA)
    ocr = {"images/77.gif": picture(77, "GIF"), "images/78.jpg": picture(78, "PNG"), "images/79.jpg": b"<html>404"}
    save_folder(found["ocrvqa_images"], ocr)
    return found


def test_every_fault_is_repaired_or_dropped_by_its_rule_and_counted(tmp_path):
    facts = CONVERTERS["llava665k"](faulty(tmp_path / "raw"), tmp_path / "out", {"dropped_share": 0.5})
    found = {one.id: one for one in check_whole(tmp_path / "out", facts)}
    counts = facts["counts"]
    assert counts["dropped"] == {
        "no answer": 2,
        "picture missing": 1,
        "picture of an unknown source": 1,
        "picture unreadable": 1,
        "roles out of order": 1,
    }
    assert counts["repaired"] == {
        "duplicate id: numbered": 1,
        "last question without an answer: cut": 1,
        "picture under another suffix: taken": 1,
        "several placeholders: one kept, first": 1,
    }
    assert found["0a#2"].turns == (("What?", "It."),)
    assert found["odd"].turns == (("What?", "It."),)
    assert found["gif"].image == "ocr_vqa/images/77.jpg"
    assert counts["pictures_named_otherwise"] == 2


def test_a_hundredth_is_the_most_that_is_dropped_unasked(tmp_path):
    with pytest.raises(DataError, match=r"llava665k 1: 5 of 24 rows would be dropped.*0\.01"):
        CONVERTERS["llava665k"](faulty(tmp_path / "raw"), tmp_path / "out", {})


def test_what_is_repaired_comes_out_the_same_twice(tmp_path):
    raw = faulty(tmp_path / "raw")
    for name in ("a", "b"):
        CONVERTERS["llava665k"](raw, tmp_path / name, {"dropped_share": 0.5})
    assert written(tmp_path / "a") == written(tmp_path / "b")
