"""The official downloads of every benchmark in small: their names, archives, columns and odd places, self-made.

make_all(folder) gives {source name: path} for every builder and converter of the papers' data; each make_... a part.
"""

from __future__ import annotations

import csv
import io
import json
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from PIL import Image

from steering.data.evaluation.mme import TASKS
from steering.data.evaluation.mmmu import SUBJECTS

PICTURES = 12
SUBJECT_NAMES = ("anatomy", "high_school_physics")


def picture(number: int, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8 + number % 5, 8), (number * 37 % 256, number % 256, 90)).save(buffer, kind)
    return buffer.getvalue()


def dump(value: Any) -> bytes:
    return json.dumps(value, indent=1).encode()


def json_lines(rows: Iterable[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def save(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def save_zip(path: Path, members: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def save_tar(path: Path, members: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def ten(answer: str) -> list[str]:
    return [answer] * 6 + ["something else"] * 4


def coco_val(number: int) -> str:
    return f"COCO_val2014_{number:012d}.jpg"


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


def taught(number: int, image: str | None) -> dict[str, Any]:
    """A row of LLaVA's training files."""
    mark, named = ("<image>\n", {"image": image}) if image else ("", {})
    turns = [{"from": "human", "value": f"{mark}What is {number}?"}, {"from": "gpt", "value": f"It is {number}."}]
    return {"id": f"{number:09d}", **named, "conversations": turns}


def make_lcs558k(folder: Path) -> dict[str, Path]:
    names = {f"{number % 7:05d}/{number:09d}.jpg": picture(number) for number in range(PICTURES)}
    rows = [taught(number, name) for number, name in enumerate(names)]
    return {
        "lcs558k_json": save(folder / "blip_laion_cc_sbu_558k.json", dump(rows)),
        "lcs558k_images": save_zip(folder / "images.zip", names),
    }


def make_llava665k(folder: Path) -> dict[str, Path]:
    """Its rows also name pictures of make_gqa and make_textvqa."""
    places = {
        "coco_train2017": ("coco/train2017/", "train2017/{:012d}.jpg"),
        "ocrvqa_images": ("ocr_vqa/images/", "ocr_vqa/images/{:d}.jpg"),
        "vg_images": ("vg/VG_100K/", "VG_100K/{:d}.jpg"),
        "vg_images_2": ("vg/VG_100K_2/", "VG_100K_2/{:d}.jpg"),
    }
    members = {source: [form.format(number) for number in range(4)] for source, (_, form) in places.items()}
    names = [places[source][0] + name.rsplit("/", 1)[1] for source, found in members.items() for name in found]
    names += [f"gqa/images/n{number}.jpg" for number in range(4)]
    names += [f"textvqa/train_images/{number:016x}.jpg" for number in range(4)]
    rows = [taught(number, name) for number, name in enumerate([*names, None, None])]
    made = {
        source: save_zip(folder / f"{source}.zip", {name: picture(at) for at, name in enumerate(found)})
        for source, found in members.items()
    }
    return {"llava665k_json": save(folder / "llava_v1_5_mix665k.json", dump(rows)), **made}


def make_visionflan(folder: Path) -> dict[str, Path]:
    names = {f"images_191task_1k/{number}.jpg": picture(number) for number in range(PICTURES)}
    rows = [taught(number, name.split("/")[1]) for number, name in enumerate(names)]
    return {
        "visionflan_json": save(folder / "annotation_191-task_1k.json", dump(rows)),
        "visionflan_images": save_zip(folder / "image_191-task_1k.zip", names),
    }


def make_all(folder: Path) -> dict[str, Path]:
    """All of them below *folder*: source name -> path."""
    makers = {
        "coco": make_coco,
        "vqav2": make_vqav2,
        "gqa": make_gqa,
        "textvqa": make_textvqa,
        "vizwiz": make_vizwiz,
        "scienceqa": make_scienceqa,
        "llava": make_llava,
        "iconqa": make_iconqa,
        "pope": make_pope,
        "mmvet": make_mmvet,
        "mmmu": make_mmmu,
        "hallusion": make_hallusion,
        "mme": make_mme,
        "hellaswag": make_hellaswag,
        "mmlu": make_mmlu,
        "lcs558k": make_lcs558k,
        "llava665k": make_llava665k,
        "visionflan": make_visionflan,
    }
    return {name: path for place, make in makers.items() for name, path in make(folder / place).items()}
