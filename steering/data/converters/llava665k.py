"""LLaVA-665K, LLaVA-1.5's instructions: llava_v1_5_mix665k.json and the picture sets it names.

The published file and sets do not fit each other throughout (OCR-VQA's dead links and suffixes first of all), so the
policy is `drop` with at most 1 % of the rows, and the facts say what went. Text-only rows stay. A picture keeps the
name of LLaVA's layout: coco/train2017/000.jpg.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steering.data.converters.conversion import convert
from steering.data.converters.pictures import SUFFIXES, Place
from steering.data.converters.settings import check_sources, read_settings
from steering.data.converters.stream import stream_rows

PLACES = (
    Place("coco_train2017", "coco/train2017/"),
    Place("gqa_images", "gqa/images/"),
    Place("ocrvqa_images", "ocr_vqa/images/", suffixes=SUFFIXES),
    Place("textvqa_images", "textvqa/train_images/"),
    Place("vg_images", "vg/VG_100K/"),
    Place("vg_images_2", "vg/VG_100K_2/"),
)
SOURCES = ("llava665k_json", *(place.source for place in PLACES))


def convert_llava665k(sources: Mapping[str, Path], out: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """sources: llava665k_json, the file; a zip or its folder for each of PLACES. See conversion.convert."""
    known = read_settings("llava665k", settings, policy="drop")
    check_sources("llava665k", sources, SOURCES)
    rows = stream_rows(sources["llava665k_json"])
    return convert("llava665k 1", rows, out, pictures=(PLACES, sources), settings=known)
