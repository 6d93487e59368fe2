"""What a world may measure of its runs beside scores and LMAR; each by a stage of its name."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

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
    """The training loss on a plane through what was trained, `points` a side, `span` times its norm each way."""

    conversations: int = Field(ge=1)
    points: int = Field(ge=3)
    span: float = Field(gt=0)


class TokenControl(Part):
    """Edits of chosen tokens, trained towards a chosen answer.

    questions: how many are tried; tokens: how many visual tokens are edited in each try; bystanders: other questions
    whose answers should not change.
    """

    benchmark: Name
    questions: int = Field(ge=1)
    tokens: list[int] = Field(min_length=1)
    rank: int = Field(ge=1)
    steps: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
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
