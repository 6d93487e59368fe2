"""The families of language models by transformers' `model_type`; a new one is one small file and one row here."""

from steering.families.family import Family
from steering.families.gemma import GEMMA, GEMMA2
from steering.families.llama import LLAMA
from steering.families.phi import PHI
from steering.families.qwen import QWEN2, QWEN3
from steering.families.stablelm import STABLELM

FAMILIES = {family.model_type: family for family in (PHI, LLAMA, QWEN2, QWEN3, GEMMA, GEMMA2, STABLELM)}

__all__ = ["FAMILIES", "Family"]
