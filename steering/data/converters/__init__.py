"""Converters of the papers' published training data, by name.

A converter is `convert(sources, out, settings) -> facts for the manifest`, as a builder of the embedded world is. It
writes conversations.json, the picture archive and facts.json. Same sources and settings, same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from steering.data.converters import iconqa, lcs558k, llava665k, scienceqa, visionflan, vizwiz

Converter = Callable[[Mapping[str, Path], Path, Mapping[str, Any]], dict[str, Any]]
CONVERTERS: dict[str, Converter] = {
    "lcs558k": lcs558k.convert_lcs558k,
    "llava665k": llava665k.convert_llava665k,
    "visionflan": visionflan.convert_visionflan,
    "scienceqa": scienceqa.convert_scienceqa,
    "vizwiz": vizwiz.convert_vizwiz,
    "iconqa_txt": iconqa.convert_iconqa_txt,
    "iconqa_blank": iconqa.convert_iconqa_blank,
}
SOURCES: dict[str, tuple[str, ...]] = {
    "lcs558k": lcs558k.SOURCES,
    "llava665k": llava665k.SOURCES,
    "visionflan": visionflan.SOURCES,
    "scienceqa": scienceqa.SOURCES,
    "vizwiz": vizwiz.SOURCES,
    "iconqa_txt": iconqa.SOURCES,
    "iconqa_blank": iconqa.SOURCES,
}
