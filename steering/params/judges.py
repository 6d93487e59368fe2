"""Judges, as params.yaml tells them: an endpoint, the NAME of its key's variable, and the prompts that it may read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from steering.params.models import Part, Sha256, absent, nothing

JudgedForm = Literal["mmvet", "hallusion"]
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Prompt(Part):
    """The official text that a judge reads first; file: where it was put, from the project's root."""

    file: str
    sha256: Sha256


class Judge(Part):
    """An OpenAI-compatible endpoint; see steering.evaluate.judge.JudgeSettings.

    url: up to and with /v1.  key_variable: the NAME of the environment variable that holds the key, never the key.
    prompts: by form of benchmark; only forms that stand here are judged. MM-Vet has no score without, HallusionBench
    is read by yes and no then.
    """

    url: str
    model: str = Field(min_length=1)
    key_variable: str | None = Field(None, exclude_if=absent)
    parameters: dict[str, int | float | str | None] = Field({}, exclude_if=nothing)
    parallel: int = Field(4, ge=1)
    timeout_seconds: float = Field(60, gt=0)
    tries: int = Field(5, ge=1)
    prompts: dict[JudgedForm, Prompt] = Field(min_length=1)

    @model_validator(mode="after")
    def _without_secrets(self) -> Judge:
        """What may hold a key is told of in words that do not repeat it."""
        if faults := list(self._faults()):
            raise ValueError("; ".join(faults))
        return self

    def _faults(self) -> Iterator[str]:
        if not _bare(self.url):
            yield "url: no bare address; allowed: http://host/... or https://host/..., without key, query or fragment"
        if self.key_variable is not None and not VARIABLE.fullmatch(self.key_variable):
            yield "key_variable: no variable's name; allowed: the NAME of an environment variable, never the key itself"


def _bare(url: str) -> bool:
    try:
        parts, _ = urlsplit(url), urlsplit(url).port
    except ValueError:
        return False
    known = parts.scheme in ("http", "https") and bool(parts.hostname)
    return known and not (parts.username or parts.password or parts.query or parts.fragment)
