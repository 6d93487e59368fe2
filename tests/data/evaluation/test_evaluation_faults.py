"""Downloads, settings and sources that are wrong are refused by name, and missing pictures dropped where allowed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from official_probes import pope_lines
from official_writing import coco_val, dump, json_lines, save, save_zip

from steering.data.archives import member_names, read_member
from steering.data.evaluation import EVALUATION, mmmu
from steering.data.shards import ImageArchive
from steering.errors import DataError
from steering.evaluate.benchmarks.hallusion import HALLUSION
from steering.evaluate.benchmarks.pope import COCO_POPE
from tests.data.evaluation.built import build


def without(path: Path, name: str, out: Path, content: bytes | None = None) -> Path:
    """A copy of the zip *path* without one member, or with *content* in its place."""
    members = {one: read_member(path, one) for one in member_names(path) if one != name}
    return save_zip(out, members | ({name: content} if content is not None else {}))


@pytest.mark.parametrize("content", [None, b"no picture"])
def test_a_missing_or_unreadable_picture_is_named_and_by_policy_its_unit_dropped(content, downloads, tmp_path):
    broken = dict(downloads)
    broken["coco_val2014"] = without(
        downloads["coco_val2014"], f"val2014/{coco_val(3)}", tmp_path / "val2014.zip", content
    )
    fault = "picture unreadable" if content else "picture missing"
    with pytest.raises(DataError, match=rf"2 rows to drop, .*policy strict.*\n.*{fault}: 2: val 3000 .*{coco_val(3)}"):
        build("vqav2_eval", broken, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(DataError, match="18 of 216 rows would be dropped; allowed is a share of 0.01"):
        build("pope_eval", broken, tmp_path / "out", policy="drop")
    facts = build("pope_eval", broken, tmp_path / "out", policy="drop", dropped_share=0.1)
    assert facts["counts"]["dropped"] == {fault: 18}
    examples = COCO_POPE.examples(tmp_path / "out", "test")
    assert len(examples) == 198 == facts["counts"]["questions"]["test"]
    assert {example.image for example in examples} == set(ImageArchive(tmp_path / "out").names())


def test_a_set_goes_whole_where_one_of_its_pictures_is_missing(downloads, tmp_path):
    broken = dict(downloads)
    name = "hallusion_bench/VD/illusion/1_1.png"
    broken["hallusion_images"] = without(downloads["hallusion_images"], name, tmp_path / "images.zip")
    facts = build("hallusion_eval", broken, tmp_path / "out", policy="drop", dropped_share=0.5)
    assert facts["counts"]["dropped"] == {"picture missing": 4}
    assert {one.id.split("/", 1)[1][:13] for one in HALLUSION.examples(tmp_path / "out", "test")} == {
        "VD/illusion/0",
        "VS/chart/0/0/",
        "VS/chart/0/1/",
        "VS/chart/1/0/",
        "VS/chart/1/1/",
    }


def test_a_picture_name_that_leads_out_of_its_folder_is_none(downloads, tmp_path):
    rows = [row | {"image": "../coco/val2014.zip"} for row in pope_lines("random")[:2]]
    broken = downloads | {"pope_random": save(tmp_path / "coco_pope_random.json", json_lines(rows))}
    with pytest.raises(DataError, match="malformed picture name: 2"):
        build("pope_eval", broken, tmp_path / "out")


WRONG = [
    ("pope_eval", "pope_random", [{"question_id": 1, "text": "x", "label": "yes"}], "1 records without a usable"),
    ("vizwiz_eval", "vizwiz_annotations", [{"image": "a.jpg"}], "1 records without a usable image, question, answers"),
    ("gqa_eval", "gqa_questions", {"1": {"question": "x"}}, "1 records without a usable question, imageId, answer: 1"),
    ("textvqa_eval", "textvqa_annotations", {"rows": []}, "no list of questions under 'data'"),
    ("vqav2_eval", "vqav2_annotations", {"annotations": []}, "24 questions have no annotation: 0, 1, 1000"),
    ("hallusion_eval", "hallusion_questions", [{"category": "VD"}], "1 records without a usable set_id"),
    ("hellaswag_eval", "hellaswag_val", [{"ctx": "x"}], "1 records without a usable activity_label"),
    ("mmmu_eval", "mmmu_answers", {}, "90 faults: validation_Accounting_1: not there"),
]


@pytest.mark.parametrize(("name", "source", "value", "fault"), WRONG)
def test_another_file_than_the_official_one_is_refused_by_what_it_lacks(
    name, source, value, fault, downloads, tmp_path
):
    lines = source in ("pope_random", "hellaswag_val")
    path = save(tmp_path / "wrong.json", json_lines(value) if lines else dump(value))
    with pytest.raises(DataError, match=re.escape(fault)):
        build(name, downloads | {source: path}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_mme_names_all_texts_and_tasks_that_are_wrong(downloads, tmp_path):
    members = {name: read_member(downloads["mme"], name) for name in member_names(downloads["mme"])}
    texts = [name for name in members if name.endswith("/0001.txt") and "MACOSX" not in name]
    odd = {name: b"Is it one?\tYes\n" for name in texts}
    broken = downloads | {"mme": save_zip(tmp_path / "odd.zip", members | odd)}
    with pytest.raises(
        DataError, match=r"14 files have not 2 lines, in UTF-8, of a question, a tab, Yes or No: .*0001\.txt"
    ):
        build("mme_eval", broken, tmp_path / "out")
    some = {name: content for name, content in members.items() if "/OCR/" not in name and "/scene/" not in name}
    with pytest.raises(DataError, match="no questions of scene, OCR; it takes the 14 tasks"):
        build("mme_eval", downloads | {"mme": save_zip(tmp_path / "some.zip", some)}, tmp_path / "out")


def test_mmmu_names_the_subjects_that_are_missing(downloads, tmp_path):
    subjects = [subject for subject in mmmu.SUBJECTS if subject not in ("Art", "Music")]
    for subject in subjects:
        (tmp_path / "MMMU").mkdir(exist_ok=True)
        (tmp_path / "MMMU" / subject).symlink_to(downloads["mmmu"] / subject)
    with pytest.raises(DataError, match="of 2 of 30 subjects: Art, Music"):
        build("mmmu_eval", downloads | {"mmmu": tmp_path / "MMMU"}, tmp_path / "out")


def test_settings_and_sources_are_refused_by_name(downloads, tmp_path):
    with pytest.raises(DataError, match=r"'vall': unknown \(did you mean val\?\); allowed are val, test-dev, test"):
        EVALUATION["vqav2_eval"]({}, tmp_path / "out", {"splits": "vall"})
    with pytest.raises(DataError, match="setting row: unknown .*rows"):
        EVALUATION["gqa_eval"]({}, tmp_path / "out", {"row": 5})
    with pytest.raises(DataError, match="source gqa_images: not given"):
        EVALUATION["gqa_eval"]({"gqa_questions": downloads["gqa_questions"]}, tmp_path / "out", {})
    with pytest.raises(DataError, match="sources llava_eval: not taken for val; it takes vqav2_questions"):
        sources = {name: downloads[name] for name in ("vqav2_questions", "llava_eval")}
        EVALUATION["vqav2_eval"](sources, tmp_path / "out", {})
    with pytest.raises(DataError, match="val: 12 usable questions; the sample takes 13"):
        build("vizwiz_eval", downloads, tmp_path / "again", rows=13)
    with pytest.raises(DataError, match="anns_for_eval.json holds one, so name one"):
        build("mmmu_eval", downloads, tmp_path / "again", splits="val,dev")
