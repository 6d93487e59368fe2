"""Builders of the evaluation data of the published benchmarks, by name: official downloads to what a form reads.

See building for what all of them do; README of a benchmark's files is its form in steering.evaluate.benchmarks.
"""

from __future__ import annotations

from steering.data.evaluation.building import Evaluation
from steering.data.evaluation.gqa import GQA
from steering.data.evaluation.hallusion import HALLUSION
from steering.data.evaluation.hellaswag import HELLASWAG
from steering.data.evaluation.iconqa import ICONQA
from steering.data.evaluation.mme import MME
from steering.data.evaluation.mmlu import MMLU
from steering.data.evaluation.mmmu import MMMU
from steering.data.evaluation.mmvet import MMVET
from steering.data.evaluation.pope import POPE
from steering.data.evaluation.scienceqa import SCIENCEQA
from steering.data.evaluation.textvqa import TEXTVQA
from steering.data.evaluation.vizwiz import VIZWIZ
from steering.data.evaluation.vqav2 import VQAV2

EVALUATION: dict[str, Evaluation] = {
    builder.name: builder
    for builder in (
        VQAV2,
        GQA,
        TEXTVQA,
        VIZWIZ,
        SCIENCEQA,
        ICONQA,
        POPE,
        MMVET,
        MMMU,
        HALLUSION,
        MME,
        HELLASWAG,
        MMLU,
    )
}
