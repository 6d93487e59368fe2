"""Vision-Flan, 191 tasks x 1,000: annotation_191-task_1k.json and images_191task_1k, in LLaVA's shape."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steering.data.converters.conversion import convert
from steering.data.converters.pictures import Place
from steering.data.converters.settings import check_sources, read_settings
from steering.data.converters.stream import stream_rows

SOURCES = ("visionflan_json", "visionflan_images")
PLACES = (Place("visionflan_images", tops=("", "images_191task_1k/")),)


def convert_visionflan(sources: Mapping[str, Path], out: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """sources: visionflan_json, the file; visionflan_images, the zip or its folder. See conversion.convert."""
    known = read_settings("visionflan", settings)
    check_sources("visionflan", sources, SOURCES)
    rows = stream_rows(sources["visionflan_json"])
    return convert("visionflan 1", rows, out, pictures=(PLACES, sources), settings=known)
