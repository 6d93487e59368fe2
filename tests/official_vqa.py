"""The official downloads of benchmarks of questions on pictures, in small, and LLaVA's files of their questions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from official_writing import PICTURES, coco_val, dump, json_lines, picture, save, save_zip


def ten(answer: str) -> list[str]:
    return [answer] * 6 + ["something else"] * 4


def make_coco(folder: Path) -> dict[str, Path]:
    """val2014 and test2015, each with a picture that no question names."""
    val = {f"val2014/{coco_val(number)}": picture(number) for number in range(PICTURES + 1)}
    test = {f"test2015/COCO_test2015_{number:012d}.jpg": picture(number) for number in range(PICTURES + 1)}
    return {
        "coco_val2014": save_zip(folder / "val2014.zip", val),
        "coco_test2015": save_zip(folder / "test2015.zip", test),
    }


def vqav2_questions() -> list[dict[str, Any]]:
    return [
        {"image_id": number, "question": f"What is it? {at}", "question_id": number * 1000 + at}
        for number in range(PICTURES)
        for at in range(2)
    ]


def vqav2_annotation(row: Mapping[str, Any]) -> dict[str, Any]:
    answers = [
        {"answer": answer, "answer_confidence": "yes", "answer_id": at} for at, answer in enumerate(ten("cat"), start=1)
    ]
    told = {"question_type": "what is", "multiple_choice_answer": "cat", "answers": answers, "answer_type": "other"}
    return {"image_id": row["image_id"], "question_id": row["question_id"], **told}


def make_vqav2(folder: Path) -> dict[str, Path]:
    rows, head = vqav2_questions(), {"info": {"version": "2.0"}, "data_subtype": "val2014"}
    asked = {**head, "task_type": "Open-Ended", "questions": rows}
    told = {**head, "annotations": [vqav2_annotation(row) for row in rows]}
    questions = {"v2_OpenEnded_mscoco_val2014_questions.json": dump(asked)}
    annotations = {"v2_mscoco_val2014_annotations.json": dump(told)}
    return {
        "vqav2_questions": save_zip(folder / "v2_Questions_Val_mscoco.zip", questions),
        "vqav2_annotations": save_zip(folder / "v2_Annotations_Val_mscoco.zip", annotations),
    }


def make_gqa(folder: Path) -> dict[str, Path]:
    kinds = ("query", "verify", "choose")
    rows = {
        f"20{number:07d}": {
            "semantic": [],
            "imageId": f"n{number % PICTURES}",
            "question": f"What is on the left? {number}",
            "answer": ("bed", "yes", "left")[number % 3],
            "fullAnswer": "It is a bed.",
            "types": {"structural": kinds[number % 3], "semantic": "obj", "detailed": "x"},
            "groups": {"global": "furniture", "local": "x"},
            "isBalanced": True,
        }
        for number in range(2 * PICTURES)
    }
    questions = {"testdev_balanced_questions.json": dump(rows), "val_balanced_questions.json": dump(rows)}
    images = {f"images/n{number}.jpg": picture(number) for number in range(PICTURES + 1)}
    return {
        "gqa_questions": save_zip(folder / "questions1.2.zip", questions),
        "gqa_images": save_zip(folder / "images.zip", images),
    }


def textvqa_rows() -> list[dict[str, Any]]:
    return [
        {
            "question": ("What is the brand?", "who wrote it?")[at],
            "image_id": f"{number:016x}",
            "image_classes": ["Poster"],
            "answers": ten("nokia"),
            "question_id": 34602 + 2 * number + at,
            "image_width": 8,
            "image_height": 8,
            "set_name": "val",
        }
        for number in range(PICTURES)
        for at in range(2)
    ]


def make_textvqa(folder: Path) -> dict[str, Path]:
    whole = {"dataset_type": "val", "dataset_name": "textvqa", "dataset_version": "0.5.1", "data": textvqa_rows()}
    images = {f"train_images/{number:016x}.jpg": picture(number) for number in range(PICTURES + 1)}
    return {
        "textvqa_annotations": save(folder / "TextVQA_0.5.1_val.json", dump(whole)),
        "textvqa_images": save_zip(folder / "train_val_images.zip", images),
    }


def vizwiz_row(split: str, number: int) -> dict[str, Any]:
    answers = [{"answer": answer, "answer_confidence": "yes"} for answer in ten("soup")]
    told = {"answers": answers, "answer_type": "other", "answerable": number % 2}
    row = {"image": f"VizWiz_{split}_{number:08d}.jpg", "question": f"What is this? {number}"}
    return row if split == "test" else row | told


def make_vizwiz(folder: Path) -> dict[str, Path]:
    splits = ("train", "val", "test")
    rows = {split: [vizwiz_row(split, number) for number in range(PICTURES)] for split in splits}
    made = {
        f"vizwiz_{split}_images": save_zip(
            folder / f"{split}.zip",
            {f"{split}/VizWiz_{split}_{number:08d}.jpg": picture(number) for number in range(PICTURES + 1)},
        )
        for split in splits
    }
    made["vizwiz_images"] = made.pop("vizwiz_train_images")
    annotations = {f"{split}.json": dump(rows[split]) for split in splits}
    return {"vizwiz_annotations": save_zip(folder / "Annotations.zip", annotations), **made}


def scienceqa_problem(number: int, split: str) -> dict[str, Any]:
    return {
        "question": f"Which is harder? {number}",
        "choices": ["ice", "air", "fog"],
        "answer": number % 3,
        "hint": "Look at the picture." if number % 2 else "",
        "image": "image.png" if number % 2 else None,
        "task": "closed choice",
        "grade": "grade2",
        "subject": "natural science",
        "split": split,
        "lecture": "",
        "solution": "",
    }


def scienceqa_problems() -> dict[str, dict[str, Any]]:
    return {str(number): scienceqa_problem(number, ("train", "val", "test")[number % 3]) for number in range(36)}


def make_scienceqa(folder: Path) -> dict[str, Path]:
    problems = scienceqa_problems()
    splits = {name: [pid for pid, row in problems.items() if row["split"] == name] for name in ("train", "val", "test")}
    made = {
        f"scienceqa_{split}_images": save_zip(
            folder / f"{split}.zip",
            {f"{split}/{pid}/image.png": picture(int(pid), "PNG") for pid in splits[split] if problems[pid]["image"]},
        )
        for split in splits
    }
    made["scienceqa_images"] = made.pop("scienceqa_train_images")
    return {
        "scienceqa_problems": save(folder / "problems.json", dump(problems)),
        "scienceqa_splits": save(folder / "pid_splits.json", dump(splits)),
        **made,
    }


def cqm(pid: str, problem: Mapping[str, Any]) -> dict[str, Any]:
    mark, image = ("<image>\n", {"image": f"{pid}/image.png"}) if problem["image"] else ("", {})
    asked = f"{mark}{problem['question']}\n" + "\n".join(
        f"{a}. {c}" for a, c in zip("ABC", problem["choices"], strict=True)
    )
    answer = f"The answer is {'ABC'[problem['answer']]}."
    return {
        "id": pid,
        **image,
        "conversations": [{"from": "human", "value": asked}, {"from": "gpt", "value": answer}],
    }


def make_llava(folder: Path) -> dict[str, Path]:
    """LLaVA's eval.zip, of which the builders read four files."""
    end = "Answer the question using a single word or phrase."
    lines = [
        {
            "question_id": number,
            "image": f"COCO_test2015_{number % PICTURES:012d}.jpg",
            "text": f"Is it? {number}\n{end}",
            "category": "default",
        }
        for number in range(2 * PICTURES)
    ]
    ocr = [
        {
            "question_id": row["image_id"],
            "image": f"{row['image_id']}.jpg",
            "text": f"{row['question']}\nReference OCR token: NOKIA, 5\n{end}",
            "category": "default",
        }
        for row in textvqa_rows()
    ]
    science = [cqm(pid, row) for pid, row in scienceqa_problems().items() if row["split"] == "test"]
    members = {
        "vqav2/llava_vqav2_mscoco_test-dev2015.jsonl": json_lines(lines[::2]),
        "vqav2/llava_vqav2_mscoco_test2015.jsonl": json_lines(lines),
        "textvqa/llava_textvqa_val_v051_ocr.jsonl": json_lines(ocr),
        "scienceqa/llava_test_CQM-A.json": dump(science),
        "scienceqa/answers/llava-v1.5.jsonl": b"{}\n",
    }
    return {"llava_eval": save_zip(folder / "eval.zip", members)}


def iconqa_problem(number: int) -> dict[str, Any]:
    kind = ("choose_txt", "fill_in_blank", "choose_img")[number % 3]
    chosen = {"choices": ["two", "three"], "answer": str(number % 2)}
    rest = chosen if kind == "choose_txt" else {"choices": [], "answer": "7"}
    return {"question": f"How many are there? {number}", **rest, "ques_type": kind, "grade": "prek", "label": "S2"}


def make_iconqa(folder: Path) -> dict[str, Path]:
    problems = {str(number): iconqa_problem(number) for number in range(54)}
    names = ("train", "val", "test")
    splits = {name: [pid for pid in problems if int(pid) // 3 % 3 == at] for at, name in enumerate(names)}
    members = {"problems.json": dump(problems), "pid_splits.json": dump(splits)}
    for split, pids in splits.items():
        for pid in pids:
            home = f"iconqa/{split}/{problems[pid]['ques_type']}/{pid}"
            members |= {f"{home}/image.png": picture(int(pid), "PNG"), f"{home}/data.json": dump(problems[pid])}
    zipped = {f"iconqa_data/{name}": content for name, content in members.items()}
    return {"iconqa_data": save_zip(folder / "iconqa_data.zip", zipped)}
