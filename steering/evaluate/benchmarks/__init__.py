"""The benchmarks, one form per official file format; FORMS is the only list of them and its keys are exact."""

from __future__ import annotations

from steering.evaluate.benchmarks.form import Example, Form
from steering.evaluate.benchmarks.iconqa import ICONQA
from steering.evaluate.benchmarks.mmlu import MMLU
from steering.evaluate.benchmarks.pope import POPE
from steering.evaluate.benchmarks.scienceqa import SCIENCEQA
from steering.evaluate.benchmarks.vqa import VQA

FORMS: dict[str, Form] = {"vqa": VQA, "pope": POPE, "iconqa": ICONQA, "scienceqa": SCIENCEQA, "mmlu": MMLU}

__all__ = ["FORMS", "Example", "Form"]
