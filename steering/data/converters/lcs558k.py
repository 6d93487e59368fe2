"""LCS-558K, LLaVA's captions for pretraining: blip_laion_cc_sbu_558k.json and images.zip (liuhaotian/LLaVA-Pretrain).

The instruction stands before or after <image>; either is read alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steering.data.converters.conversion import convert
from steering.data.converters.pictures import Place
from steering.data.converters.settings import check_sources, read_settings
from steering.data.converters.stream import stream_rows

SOURCES = ("lcs558k_json", "lcs558k_images")
PLACES = (Place("lcs558k_images", tops=("", "images/")),)


def convert_lcs558k(sources: Mapping[str, Path], out: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """sources: lcs558k_json, the file; lcs558k_images, the zip or its folder. See conversion.convert."""
    known = read_settings("lcs558k", settings)
    check_sources("lcs558k", sources, SOURCES)
    rows = stream_rows(sources["lcs558k_json"])
    return convert("lcs558k 1", rows, out, pictures=(PLACES, sources), settings=known)
