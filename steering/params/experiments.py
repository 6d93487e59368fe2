"""Experiments, as params.yaml tells them: which arms are compared, on what, and what is measured of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from steering.params.analyses import AnalysisName
from steering.params.models import Name, Part, absent, nothing
from steering.params.papers import Paper

START, BASELINES = "start", ("blind", "majority")
"""What tables call the tuned run that runs start from, and the guessers: an arm has another name."""


class Attention(Part):
    """Where LMAR is measured: a benchmark's test questions, that many of them."""

    benchmark: Name
    questions: int = Field(ge=2)


class Experiment(Part):
    """A table or figure: which arms, data, benchmarks and seeds it needs; without data it is sized, not run.

    benchmarks: those that are shown, by default all that its runs are asked; runs are shared and asked all the same.
    """

    title: str
    question: str
    world: Name
    data: Name | Annotated[list[Name], Field(min_length=1)] | None = None
    arms: list[Name] = Field(min_length=1)
    control: Name = "none"
    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    split: Literal["val", "test"] = "test"  # of ours; see Benchmark.splits
    benchmarks: list[Name] | None = Field(None, min_length=1, exclude_if=absent)
    attention: Attention | None = None
    analyses: list[AnalysisName] = Field([], exclude_if=nothing)
    paper: Paper | None = Field(None, exclude_if=absent)

    @property
    def mixtures(self) -> list[str]:
        """The mixtures that its arms are tuned on, each by itself."""
        return [self.data] if isinstance(self.data, str) else list(self.data or ())
