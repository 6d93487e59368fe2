"""Official downloads become data set folders that the benchmark's own form reads, with its pictures and no others."""

from __future__ import annotations

import hashlib
import json

import pytest

from steering.data.archives import extract, read_member
from steering.data.evaluation import EVALUATION, mme, mmmu
from steering.data.shards import ImageArchive
from steering.errors import DataError
from steering.evaluate.benchmarks import form, submission
from steering.evaluate.benchmarks import mme as form_mme
from steering.evaluate.benchmarks import mmmu as form_mmmu
from steering.evaluate.benchmarks.gqa import GQA
from steering.evaluate.benchmarks.hallusion import HALLUSION
from steering.evaluate.benchmarks.hellaswag import HELLASWAG, HELLASWAG_10_SHOT
from steering.evaluate.benchmarks.iconqa import ICONQA
from steering.evaluate.benchmarks.mme import MME
from steering.evaluate.benchmarks.mmlu import MMLU, MMLU_LIKELIHOOD
from steering.evaluate.benchmarks.mmmu import MMMU
from steering.evaluate.benchmarks.mmvet import MMVET
from steering.evaluate.benchmarks.pope import COCO_POPE
from steering.evaluate.benchmarks.scienceqa import SCIENCEQA, SCIENCEQA_LLAVA
from steering.evaluate.benchmarks.textvqa import TEXTVQA, TEXTVQA_OCR
from steering.evaluate.benchmarks.vizwiz import VIZWIZ
from steering.evaluate.benchmarks.vqa import VQAV2
from tests.data.evaluation.built import build, bytes_of

READ = [  # builder, split, form, questions, pictures, questions a sample of six has
    ("vqav2_eval", "val", VQAV2, 24, 12, 6),
    ("vqav2_eval", "test-dev", VQAV2, 12, 6, 6),
    ("vqav2_eval", "test", VQAV2, 24, 12, 6),
    ("gqa_eval", "testdev", GQA, 24, 12, 6),
    ("textvqa_eval", "val", TEXTVQA, 24, 12, 6),
    ("textvqa_eval", "val", TEXTVQA_OCR, 24, 12, 6),
    ("vizwiz_eval", "val", VIZWIZ, 12, 12, 6),
    ("vizwiz_eval", "test", VIZWIZ, 12, 12, 6),
    ("scienceqa_eval", "test", SCIENCEQA, 12, 6, 6),
    ("scienceqa_eval", "test", SCIENCEQA_LLAVA, 12, 6, 6),
    ("scienceqa_eval", "val", SCIENCEQA, 12, 6, 6),
    ("iconqa_eval", "test", ICONQA, 12, 12, 6),
    ("pope_eval", "test", COCO_POPE, 216, 12, 0),
    ("mmvet_eval", "test", MMVET, 12, 6, 6),
    ("mmmu_eval", "val", MMMU, 90, 60, 6),
    ("hallusion_eval", "test", HALLUSION, 16, 6, 4),
    ("mme_eval", "test", MME, 84, 42, 6),
    ("hellaswag_eval", "val", HELLASWAG, 20, 0, 6),
    ("hellaswag_eval", "val", HELLASWAG_10_SHOT, 20, 0, 6),
    ("mmlu_eval", "test", MMLU, 20, 0, 6),
    ("mmlu_eval", "test", MMLU_LIKELIHOOD, 20, 0, 6),
]
NAMES = [f"{form.name}-{split}" for _, split, form, *_ in READ]


@pytest.mark.parametrize(("name", "split", "form", "questions", "pictures", "_"), READ, ids=NAMES)
def test_the_form_reads_what_was_built_and_finds_every_picture(
    name, split, form, questions, pictures, _, downloads, tmp_path
):
    facts = build(name, downloads, tmp_path / "out", splits=split)
    examples, archive = form.examples(tmp_path / "out", split), ImageArchive(tmp_path / "out")
    assert len(examples) == questions == facts["counts"]["questions"][split] == facts["counts"]["official"][split]
    assert {example.image for example in examples if example.image} == set(archive.names())
    assert len(archive.names()) == pictures == facts["counts"]["pictures"]
    for picture in archive.names():
        archive.open(picture)
    assert facts == json.loads((tmp_path / "out/facts.json").read_text(encoding="utf-8"))
    assert (facts["counts"]["dropped"], facts["counts"]["repaired"]) == ({}, {})


@pytest.mark.parametrize(("name", "split", "form", "questions", "pictures", "six"), READ, ids=NAMES)
def test_a_sample_lies_in_a_larger_one_and_in_the_whole(
    name, split, form, questions, pictures, six, downloads, tmp_path
):
    asked, ids = [], []
    for rows in (6, 10, 0) if six else (36, 72, 0):
        facts = build(name, downloads, tmp_path / str(rows), splits=split, rows=rows, seed=3)
        examples, archive = form.examples(tmp_path / str(rows), split), ImageArchive(tmp_path / str(rows))
        assert {example.image for example in examples if example.image} == set(archive.names())
        assert facts["counts"]["questions"][split] == len(examples) <= (rows or questions)
        asked.append({(example.image, example.question, example.answers) for example in examples})
        ids.append({example.id for example in examples})
    assert asked[0] < asked[1] < asked[2]
    assert len(asked[0]) == (six or 36)
    if form not in (MME, HALLUSION):  # their ids are places in the file
        assert ids[0] < ids[1] < ids[2]


@pytest.mark.parametrize("name", EVALUATION)
def test_the_same_sources_give_the_same_bytes_and_another_seed_other_questions(name, downloads, tmp_path):
    rows = 36 if name == "pope_eval" else 6
    facts = [build(name, downloads, tmp_path / str(at), rows=rows, seed=seed) for at, seed in enumerate((0, 0, 2))]
    first, again, other = (bytes_of(tmp_path / str(at)) for at in range(3))
    assert (first, facts[0]) == (again, facts[1])
    assert facts[0]["sample"]["ids_sha256"] != facts[2]["sample"]["ids_sha256"]
    assert first != other


OFFICIAL = [
    ("gqa_eval", "gqa_questions", "testdev_balanced_questions.json"),
    ("vizwiz_eval", "vizwiz_annotations", "val.json"),
    ("textvqa_eval", "textvqa_annotations", "TextVQA_0.5.1_val.json"),
    ("pope_eval", "pope_random", "coco_pope_random.json"),
    ("hallusion_eval", "hallusion_questions", "HallusionBench.json"),
    ("hellaswag_eval", "hellaswag_val", "hellaswag_val.jsonl"),
    ("mmmu_eval", "mmmu_answers", "answer_dict_val.json"),
]


@pytest.mark.parametrize(("name", "source", "file"), OFFICIAL)
def test_a_file_whose_questions_all_stay_keeps_its_official_bytes(name, source, file, downloads, tmp_path):
    facts = build(name, downloads, tmp_path / "out")
    path = downloads[source]
    content = read_member(path, file) if path.suffix == ".zip" else path.read_bytes()
    assert (tmp_path / "out" / file).read_bytes() == content
    assert facts["official"][file]["sha256"] == hashlib.sha256(content).hexdigest()


def test_what_differs_from_the_published_is_told_and_not_fatal(downloads, tmp_path, capsys):
    facts = build("hallusion_eval", downloads, tmp_path / "out")
    found = facts["official"]["HallusionBench.json"]
    assert facts["differs"] == [
        "test: 16 questions; published are 1,129",
        f"HallusionBench.json: sha256 {found['sha256']}; known are "
        "ca6e0fb677dd56e5fb0e2700d06c58d01f8a6ae66e0f1773b2ac48c0a095d051 (1,129 questions, the official repository's)",
    ]
    assert found["known_as"] is None
    assert "hallusion_eval: test: 16 questions; published are 1,129" in capsys.readouterr().err


def test_what_is_asked_of_test_dev_can_be_submitted_for_the_whole_of_test(downloads, tmp_path):
    build("vqav2_eval", downloads, tmp_path / "out", splits="test-dev", rows=6)
    asked, whole = (VQAV2.examples(tmp_path / "out", split) for split in ("test-dev", "test"))
    sent = submission.vqav2([{"id": one.id, "answer": "Two."} for one in asked], [one.id for one in whole])
    assert (len(asked), len(sent)) == (6, 24)
    assert sorted(row["answer"] for row in sent) == [""] * 18 + ["2"] * 6


def test_several_splits_lie_in_one_folder(downloads, tmp_path):
    facts = build("scienceqa_eval", downloads, tmp_path / "out", splits="val, test")
    assert facts["counts"]["questions"] == {"val": 12, "test": 12}
    names = {
        split: {one.image for one in SCIENCEQA.examples(tmp_path / "out", split)} - {None} for split in ("val", "test")
    }
    assert set(ImageArchive(tmp_path / "out").names()) == names["val"] | names["test"]
    with pytest.raises(DataError, match="'train' is missing"):
        SCIENCEQA.examples(tmp_path / "out", "train")


def test_unpacked_downloads_give_the_same_files(downloads, tmp_path):
    unpacked = dict(downloads)
    for source in ("gqa_questions", "gqa_images", "mme", "iconqa_data", "mmlu"):
        unpacked[source] = tmp_path / source
        extract(downloads[source], unpacked[source])
    for name in ("gqa_eval", "mme_eval", "iconqa_eval", "mmlu_eval"):
        build(name, downloads, tmp_path / f"{name}-packed")
        build(name, unpacked, tmp_path / f"{name}-unpacked")
        assert bytes_of(tmp_path / f"{name}-packed") == bytes_of(tmp_path / f"{name}-unpacked")


def test_mmmu_has_open_questions_and_leaves_several_pictures_out(downloads, tmp_path):
    facts = build("mmmu_eval", downloads, tmp_path / "out")
    opened, several, one = MMMU.examples(tmp_path / "out", "val")[:3]
    end = "Answer the question using a single word or phrase."
    assert (opened.prompt, opened.answers, opened.choices) == (
        f"<image 1> What is 1 in Accounting?\n\n{end}",
        ("24/7", "3.429"),
        (),
    )
    assert (several.image, one.image) == (None, "images/validation_Accounting_3.png")
    assert one.prompt == (
        "<image 1> What is 3 in Accounting?\n(A) $6\n(B) 7's\n(C) <image 2>\n\n"
        "Answer with the option's letter from the given choices directly."
    )
    assert (one.choices, one.target) == (("$6", "7's", "<image 2>"), "B")
    assert (facts["several_pictures"], facts["answers_other_than_in_rows"]) == (30, [])


def test_mmmu_takes_its_truth_from_the_rows_where_no_official_file_is_given(downloads, tmp_path):
    build("mmmu_eval", downloads, tmp_path / "official")
    build("mmmu_eval", {name: path for name, path in downloads.items() if name != "mmmu_answers"}, tmp_path / "rows")
    assert MMMU.examples(tmp_path / "official", "val") == MMMU.examples(tmp_path / "rows", "val")


def test_subjects_tasks_and_instructions_are_those_of_the_forms():
    assert sorted(mmmu.SUBJECTS) == sorted(form_mmmu.SUBJECTS)
    assert mme.TASKS == form_mme.TASKS
    assert (mmmu.SHORT_ANSWER, mmmu.LETTER_ANSWER) == (form.SHORT_ANSWER, form.LETTER_ANSWER)
