"""Builders of the published benchmarks' evaluation data, by name: from official downloads to what their forms read.

What all of them do is in `building`; which files are written, and under which names, is what the benchmark's form in
steering.evaluate.benchmarks says that it reads.
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
