"""Submission files stand beside the predictions in the shapes that servers and official scripts take."""

from __future__ import annotations

import json

import pytest
from answered import OUT, benchmark, mmvet_pairs, put_answers, run_slice

from stages import submit
from steering import layout
from steering.evaluate.benchmarks import Example
from steering.manifest import read_json, sha256_file


@pytest.fixture
def root(here, put_manifest):
    folder = layout.dataset("tiny", "pictures")
    folder.mkdir(parents=True)
    lines = [{"question_id": n, "image": f"{n}.jpg", "text": "q?"} for n in (30, 10, 20)]
    (folder / "llava_vqav2_mscoco_test2015.jsonl").write_text("\n".join(map(json.dumps, lines)))
    rows = [{"image": f"{n}.jpg", "question": "q?"} for n in (2, 1)]
    (folder / "test.json").write_text(json.dumps(rows))
    put_manifest(folder)
    return folder


def asked(number, answers=(), **more):
    return Example(str(number), more.pop("image", "a.jpg"), "p", more.pop("target", ""), answers, question="q?", **more)


def run(put_manifest, said, **forms):
    put_manifest(put_answers(said))
    submit.main(run_slice(benchmarks={name: benchmark(form) for name, form in forms.items()}))
    return OUT / "submissions"


def test_vqav2_sends_every_test_id_though_only_test_dev_was_asked(root, put_manifest):
    said = {("vqa", "test-dev"): [(asked(10), "The Two."), (asked(20), "isnt")]}
    out = run(put_manifest, said, vqa="vqav2")
    assert json.loads((out / "vqa" / "test-dev" / "vqav2.json").read_text()) == [
        {"question_id": 30, "answer": ""},
        {"question_id": 10, "answer": "2"},
        {"question_id": 20, "answer": "isn't"},
    ]


def test_vizwiz_sends_an_answer_for_every_picture(root, put_manifest):
    said = {("blind", "test"): [(asked("1.jpg"), "A Can."), (asked("2.jpg"), "Unanswerable")]}
    out = run(put_manifest, said, blind="vizwiz")
    assert json.loads((out / "blind" / "test" / "vizwiz.json").read_text()) == [
        {"image": "2.jpg", "answer": "unanswerable"},
        {"image": "1.jpg", "answer": "can"},
    ]


def test_answers_with_references_are_not_sent_in(root, put_manifest):
    out = run(put_manifest, {("blind", "val"): [(asked("1.jpg", ("x",) * 10), "x")]}, blind="vizwiz")
    assert [path.name for path in out.rglob("*.*")] == ["manifest.json"]


def test_gqa_mme_and_mmvet_are_written_for_the_official_scripts(root, put_manifest):
    pair = [asked(f"OCR/1/{n}", (t,), image="OCR/a.jpg", target=t) for n, t in ((1, "yes"), (2, "no"))]
    said = {
        ("gqa", "test"): [(asked("g1", ("yes",)), "Yes.")],
        ("mme", "test"): [(pair[0], "Yes"), (pair[1], "No\tway")],
        ("mmvet", "test"): mmvet_pairs(2),
    }
    out = run(put_manifest, said, gqa="gqa", mme="mme", mmvet="mmvet")
    assert json.loads((out / "gqa" / "test" / "gqa.json").read_text()) == [{"questionId": "g1", "prediction": "yes"}]
    assert (out / "mme" / "test" / "OCR.txt").read_text() == "a.jpg\tq?\tYes\tYes\na.jpg\tq?\tNo\tNo way\n"
    expected = {"v1_0": "answer 0", "v1_1": "answer 1"}
    assert json.loads((out / "mmvet" / "test" / "mmvet.json").read_text()) == expected


def test_the_manifest_names_every_file_by_its_bytes(root, put_manifest):
    out = run(put_manifest, {("gqa", "test"): [(asked("g1", ("yes",)), "Yes.")]}, gqa="gqa")
    assert read_json(out / "manifest.json")["outputs"] == {"gqa/test/gqa.json": sha256_file(out / "gqa/test/gqa.json")}


def test_other_answers_replace_the_files(root, put_manifest):
    for said in ("yes", "no"):
        out = run(put_manifest, {("gqa", "test"): [(asked("g1", ("yes",)), said)]}, gqa="gqa")
        assert read_json(out / "gqa" / "test" / "gqa.json")[0]["prediction"] == said
