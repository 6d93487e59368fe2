"""The errors a user can cause: each says where, what was found and what is allowed, and needs no traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SteeringError(Exception):
    """A fault of the configuration, the input or the machine; its text is all a user needs to mend it."""

    exit_code = 2


class ParamsError(SteeringError):
    """All faults of params.yaml at once, one line each."""

    def __init__(self, faults: Iterable[str]):
        self.faults = list(faults)
        super().__init__("\n".join(self.faults))


class SourceError(SteeringError):
    """A source could not be fetched, or is not what its checksum promised."""


class DataError(SteeringError):
    """A prepared file, a picture or a conversation is not what it should be."""


class CheckpointError(SteeringError):
    """A checkpoint or adapter is damaged or belongs to something else."""


def nearest(word: str, allowed: Iterable[str], *, cutoff: float = 0.6) -> str:
    """`" (did you mean alpha?)"` where one of *allowed* is close to *word*, else an empty string."""
    close = difflib.get_close_matches(word, list(allowed), n=1, cutoff=cutoff)
    return f" (did you mean {close[0]}?)" if close else ""
