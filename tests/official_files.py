"""The official downloads of every benchmark in small: their names, archives, columns and odd places, self-made.

make_all(folder) gives {source name: path} for every builder and converter of the papers' data; each make_... a part.
"""

from __future__ import annotations

from pathlib import Path

from official_probes import make_hallusion, make_hellaswag, make_mme, make_mmlu, make_mmmu, make_mmvet, make_pope
from official_training import make_lcs558k, make_llava665k, make_visionflan
from official_vqa import (
    make_coco,
    make_gqa,
    make_iconqa,
    make_llava,
    make_scienceqa,
    make_textvqa,
    make_vizwiz,
    make_vqav2,
)


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
