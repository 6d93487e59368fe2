"""What a world may measure of its runs beside scores and LMAR; each by a stage of its name."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from steering.arms import Schedule
from steering.params.models import Name, Part

AnalysisName = Literal["maps", "landscape", "token_control", "overhead"]
OF_A_RUN = ("maps", "landscape", "token_control")
"""Those that are measured of each run by itself; the others compare an experiment's arms in one process."""


class Maps(Part):
    """Full attention maps of a few answered questions (MoReS paper, Fig. 8), heads averaged; layers count from 1."""

    benchmark: Name
    questions: int = Field(ge=1)
    layers: list[int] = Field(min_length=1)


class Landscape(Part):
    """The training loss on a plane through what was trained, `points` a side, `span` times its norm each way.

    Sharpness is measured at `radius` times its norm along so many `directions`, both ways.
    """

    conversations: int = Field(ge=2)
    points: int = Field(ge=3)
    span: float = Field(gt=0)
    radius: float = Field(gt=0)
    directions: int = Field(ge=2)

    @model_validator(mode="after")
    def _placed(self) -> Landscape:
        if not self.points % 2:
            raise ValueError(f"points {self.points} a side; allowed: an odd number, the trained point in the middle")
        if self.radius > self.span or self.radius < 2 * self.span / (self.points - 1):
            raise ValueError(f"radius {self.radius}; allowed: from one step of the plane up to its span {self.span}")
        return self


class TokenControl(Part):
    """Edits of chosen tokens, trained towards a chosen answer.

    questions: how many are tried, one a picture; tokens: how many are edited, a try for each number; layers: whose
    outputs are edited; steps: how many at most, until the answer has the probability `confidence`; bystanders: how
    many other questions, of the same picture and of others each, are watched for answers that change.
    """

    benchmark: Name
    questions: int = Field(ge=1)
    tokens: list[Annotated[int, Field(ge=1)]] = Field(min_length=1)
    rank: int = Field(ge=1)
    layers: Schedule | list[int] = "all"
    steps: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    confidence: float = Field(0.9, gt=0.5, lt=1)
    bystanders: int = Field(ge=1)


class Overhead(Part):
    """Seconds a question takes to read and to answer, arms interleaved in one process, `repeats` rounds.

    benchmark, questions: what is asked, pictured questions spread over all those answered; tokens: how many are decoded
    behind the longest of them, for the seconds of a token.
    """

    benchmark: Name
    questions: int = Field(ge=1)
    tokens: int = Field(ge=1)
    repeats: int = Field(ge=3)


class Analyses(Part):
    """The settings of each analysis in a world; one that is not there cannot be asked for."""

    maps: Maps | None = None
    landscape: Landscape | None = None
    token_control: TokenControl | None = None
    overhead: Overhead | None = None
