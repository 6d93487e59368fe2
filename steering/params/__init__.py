"""The language of params.yaml: typed, unknown keys refused, every fault told at once, with what is allowed."""

from steering.params.analyses import OF_A_RUN, AnalysisName
from steering.params.experiments import BASELINES, START, Attention, Experiment
from steering.params.judges import Judge
from steering.params.loading import Params, load
from steering.params.models import EncoderKind, LanguageModel, Source, VisionEncoder
from steering.params.narrowed import of_first_seeds, with_seeds
from steering.params.worlds import (
    PLAIN_ENGINE,
    Benchmark,
    Dataset,
    Engine,
    MethodName,
    Mixture,
    Pretrain,
    Recipe,
    World,
)

__all__ = [
    "BASELINES",
    "OF_A_RUN",
    "PLAIN_ENGINE",
    "START",
    "AnalysisName",
    "Attention",
    "Benchmark",
    "Dataset",
    "EncoderKind",
    "Engine",
    "Experiment",
    "Judge",
    "LanguageModel",
    "MethodName",
    "Mixture",
    "Params",
    "Pretrain",
    "Recipe",
    "Source",
    "VisionEncoder",
    "World",
    "load",
    "of_first_seeds",
    "with_seeds",
]
