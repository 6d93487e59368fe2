"""The benchmarks, one form per official file format and protocol; FORMS is the only list and its keys are exact."""

from __future__ import annotations

from steering.evaluate.benchmarks.form import Example, Form
from steering.evaluate.benchmarks.gqa import GQA
from steering.evaluate.benchmarks.hallusion import HALLUSION
from steering.evaluate.benchmarks.hellaswag import HELLASWAG, HELLASWAG_10_SHOT
from steering.evaluate.benchmarks.iconqa import ICONQA, ICONQA_INDEX
from steering.evaluate.benchmarks.mme import MME
from steering.evaluate.benchmarks.mmlu import MMLU, MMLU_LIKELIHOOD
from steering.evaluate.benchmarks.mmmu import MMMU
from steering.evaluate.benchmarks.mmvet import MMVET
from steering.evaluate.benchmarks.pope import COCO_POPE, POPE
from steering.evaluate.benchmarks.scienceqa import SCIENCEQA, SCIENCEQA_LLAVA
from steering.evaluate.benchmarks.textvqa import TEXTVQA, TEXTVQA_OCR
from steering.evaluate.benchmarks.vizwiz import VIZWIZ
from steering.evaluate.benchmarks.vqa import VQA, VQAV2

FORMS: dict[str, Form] = {
    "vqa": VQA,
    "vqav2": VQAV2,
    "gqa": GQA,
    "textvqa": TEXTVQA,
    "textvqa_ocr": TEXTVQA_OCR,
    "vizwiz": VIZWIZ,
    "scienceqa": SCIENCEQA,
    "scienceqa_llava": SCIENCEQA_LLAVA,
    "iconqa": ICONQA,
    "iconqa_index": ICONQA_INDEX,
    "pope": POPE,
    "coco_pope": COCO_POPE,
    "mmvet": MMVET,
    "mmmu": MMMU,
    "hallusion": HALLUSION,
    "mme": MME,
    "hellaswag": HELLASWAG,
    "hellaswag_10_shot": HELLASWAG_10_SHOT,
    "mmlu": MMLU,
    "mmlu_likelihood": MMLU_LIKELIHOOD,
}

__all__ = ["FORMS", "Example", "Form"]
