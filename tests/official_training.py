"""The official downloads of training data, in small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from official_writing import PICTURES, dump, picture, save, save_zip


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
