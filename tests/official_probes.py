"""The official downloads of benchmarks of hallusion, of several abilities, and of text alone, in small."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from official_writing import PICTURES, coco_val, dump, json_lines, picture, save, save_tar, save_zip

from steering.data.evaluation.mme import TASKS
from steering.data.evaluation.mmmu import SUBJECTS

SUBJECT_NAMES = ("anatomy", "high_school_physics")


def pope_lines(kind: str) -> list[dict[str, Any]]:
    return [
        {
            "question_id": 6 * number + at + 1,
            "image": coco_val(number),
            "text": f"Is there a {kind} thing {at} in the image?",
            "label": ("yes", "no")[at % 2],
        }
        for number in range(PICTURES)
        for at in range(6)
    ]


def make_pope(folder: Path) -> dict[str, Path]:
    return {
        f"pope_{kind}": save(folder / f"coco_pope_{kind}.json", json_lines(pope_lines(kind)))
        for kind in ("random", "popular", "adversarial")
    }


def make_mmvet(folder: Path) -> dict[str, Path]:
    rows = {
        f"v1_{number}": {
            "imagename": f"v1_{number // 2}.png",
            "question": f"What is x in equation {number}?",
            "answer": "-1<AND>-5<OR>5",
            "imagesource": "https://example.org/x",
            "capability": ["ocr", "math"] if number % 2 else ["rec"],
        }
        for number in range(PICTURES)
    }
    images = {f"mm-vet/images/v1_{number}.png": picture(number, "PNG") for number in range(PICTURES)}
    return {"mmvet": save_zip(folder / "mm-vet.zip", {"mm-vet/mm-vet.json": dump(rows), **images})}


def mmmu_row(subject: str, number: int) -> dict[str, Any]:
    """The first question is open, the second has two pictures."""
    shown = {f"image_{at}": None for at in range(1, 8)} | {
        "image_1": {"bytes": picture(number, "PNG"), "path": "a.png"}
    }
    if number == 2:
        shown["image_2"] = {"bytes": picture(9, "PNG"), "path": "b.png"}
    asked = (
        {"options": "[]", "answer": "['24/7', '3.429']", "question_type": "open"}
        if number == 1
        else {"options": "['$6', \"7's\", '<image 2>']", "answer": "B", "question_type": "multiple-choice"}
    )
    name = f"validation_{subject}_{number}"
    rest = {"explanation": "", "img_type": "['Tables']", "topic_difficulty": "Medium", "subfield": "x"}
    return {"id": name, "question": f"<image 1> What is {number} in {subject}?", **asked, **rest, **shown}


def make_mmmu(folder: Path) -> dict[str, Path]:
    truth = {}
    for subject in SUBJECTS:
        rows = [mmmu_row(subject, number) for number in (1, 2, 3)]
        path = folder / "MMMU" / subject / "validation-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=mmmu_schema()), path)
        truth |= {row["id"]: {"question_type": "multiple-choice", "ground_truth": "B"} for row in rows}
        truth[rows[0]["id"]] = {"question_type": "short-answer", "ground_truth": ["24/7", "3.429"]}
    return {"mmmu": folder / "MMMU", "mmmu_answers": save(folder / "answer_dict_val.json", dump(truth))}


def mmmu_schema() -> pyarrow.Schema:
    shown = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    texts = ("id", "question", "options", "explanation")
    last = ("img_type", "answer", "topic_difficulty", "question_type", "subfield")
    kinds = {name: pyarrow.string() for name in texts} | {f"image_{at}": shown for at in range(1, 8)}
    return pyarrow.schema(kinds | {name: pyarrow.string() for name in last})


def hallusion_rows() -> list[dict[str, Any]]:
    """Four sets; VS has a figure 0, without a picture."""
    return [
        {
            "category": category,
            "subcategory": subcategory,
            "visual_input": visual,
            "set_id": str(number),
            "figure_id": figure,
            "sample_note": "x",
            "question_id": question,
            "question": f"Is it {figure}? {question}",
            "gt_answer_details": "It is.",
            "gt_answer": str(int(figure) % 2),
            "filename": f"./{category}/{subcategory}/{number}_{figure}.png" if visual != "0" else None,
        }
        for category, subcategory in (("VD", "illusion"), ("VS", "chart"))
        for number in range(2)
        for figure, visual in (("0", "1" if category == "VD" else "0"), ("1", "2"))
        for question in ("0", "1")
    ]


def make_hallusion(folder: Path) -> dict[str, Path]:
    rows = hallusion_rows()
    names = {row["filename"].removeprefix("./") for row in rows if row["filename"]}
    images = {f"hallusion_bench/{name}": picture(at, "PNG") for at, name in enumerate(sorted(names))}
    return {
        "hallusion_questions": save(folder / "HallusionBench.json", dump(rows)),
        "hallusion_images": save_zip(folder / "hallusion_bench.zip", images),
    }


def make_mme(folder: Path) -> dict[str, Path]:
    """Two layouts, as in the release: pictures and texts side by side, or in folders of their own."""
    members = {"MME_Benchmark_release_version/__MACOSX/artwork/._0001.txt": b"\0"}
    for at, task in enumerate(TASKS):
        home = f"MME_Benchmark_release_version/{task}"
        apart = task in ("artwork", "celebrity", "landmark", "posters", "scene")
        for number in range(3):
            text = "Is it one? Please answer yes or no.\tYes\nIs it two? Please answer yes or no.\tNo\n"
            suffix, kind = ((".jpg", "JPEG"), (".png", "PNG"))[at % 2]
            members[f"{home}/{'questions_answers_YN/' if apart else ''}{number:04d}.txt"] = text.encode()
            members[f"{home}/{'images/' if apart else ''}{number:04d}{suffix}"] = picture(number, kind)
    return {"mme": save_zip(folder / "MME_Benchmark_release_version.zip", members)}


def hellaswag_row(number: int) -> dict[str, Any]:
    return {
        "ind": number,
        "activity_label": "Roof shingle removal",
        "ctx_a": f"Man {number} is on a roof.",
        "ctx_b": "he",
        "ctx": f"Man {number} is on a roof. he",
        "split": "val",
        "split_type": ("indomain", "zeroshot")[number % 2],
        "label": number % 4,
        "endings": [f"does {ending} [step] things {number}." for ending in "abcd"],
        "source_id": "activitynet~v_x",
    }


def make_hellaswag(folder: Path) -> dict[str, Path]:
    return {
        f"hellaswag_{split}": save(
            folder / f"hellaswag_{split}.jsonl", json_lines(hellaswag_row(number) for number in range(20))
        )
        for split in ("val", "train")
    }


def mmlu_csv(subject: str, rows: int) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for number in range(rows):
        writer.writerow([f"Which {subject}, {number},\nof these?", "a", "b, c", '"d"', "e", "ABCD"[number % 4]])
    return text.getvalue().encode()


def make_mmlu(folder: Path) -> dict[str, Path]:
    rows = {"dev": 5, "val": 6, "test": 10}
    members = {
        f"data/{split}/{subject}_{split}.csv": mmlu_csv(subject, count)
        for split, count in rows.items()
        for subject in SUBJECT_NAMES
    }
    return {"mmlu": save_tar(folder / "data.tar", {"data/README.txt": b"x", **members})}
