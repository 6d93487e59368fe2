"""The language of params.yaml: typed, unknown keys refused, every fault told at once, with what is allowed."""

from steering.params.loading import Params, load
from steering.params.models import EncoderKind, LanguageModel, Source, VisionEncoder
from steering.params.worlds import Attention, Benchmark, Dataset, Experiment, Mixture, Pretrain, Recipe, World

__all__ = [
    "Attention",
    "Benchmark",
    "Dataset",
    "EncoderKind",
    "Experiment",
    "LanguageModel",
    "Mixture",
    "Params",
    "Pretrain",
    "Recipe",
    "Source",
    "VisionEncoder",
    "World",
    "load",
]
