"""Which printed table of the papers an experiment stands beside."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from steering.params.models import Name, Part


def _as_text(value: Any) -> Any:
    return str(value) if type(value) is int else value


Theirs = str | list[str] | None


class Paper(Part):
    """A table of steering.papers, one of its models, and which rows and columns our arms and benchmarks stand beside.

    arms, benchmarks: ours to the paper's row or column, or to several; what is not named stands beside that of its own
    name, where there is one, and null beside none. Whether the questions are the same or the form alone is not told
    here: the benchmark's data set tells it.
    """

    table: Annotated[str, BeforeValidator(_as_text)]
    model: str
    arms: dict[Name, Theirs] = {}
    benchmarks: dict[Name, Theirs] = {}
