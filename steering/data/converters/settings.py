"""What a conversion is told in params.yaml, checked at once: its settings and its raw files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from steering.data.converters.ledger import POLICIES
from steering.errors import DataError, nearest


@dataclass(frozen=True)
class Sample:
    """policy and dropped_share: see ledger; rows: size of the sample, 0 for all; seed: of the sample."""

    policy: str = "strict"
    dropped_share: float = 0.01
    rows: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Settings(Sample):
    """answer_seed: of the answers drawn, where a data set has several for a question (the published conversion's)."""

    answer_seed: int = 42


Kind = TypeVar("Kind", bound=Sample)


def read_settings(name: str, given: Mapping[str, Any], **defaults: Any) -> Settings:
    """The settings of a conversion; see read_as."""
    return read_as(Settings, name, given, **defaults)


def read_as(kind: type[Kind], name: str, given: Mapping[str, Any], **defaults: Any) -> Kind:
    """*given* over the *defaults* of a data set, as *kind*; raises DataError with all faults at once."""
    allowed = [field.name for field in fields(kind)]
    faults = [
        f"{name}: setting {key}: unknown{nearest(key, allowed)}; allowed are {', '.join(allowed)}"
        for key in given
        if key not in allowed
    ]
    known = kind(**{**defaults, **{key: value for key, value in given.items() if key in allowed}})
    if known.policy not in POLICIES:
        faults.append(f"{name}: setting policy: {known.policy!r}; allowed are {', '.join(POLICIES)}")
    if not _is_number(known.dropped_share) or not 0 <= known.dropped_share < 1:
        faults.append(f"{name}: setting dropped_share: {known.dropped_share!r}; allowed is 0 to below 1")
    for key in (key for key in ("rows", "seed", "answer_seed") if key in allowed):
        if not isinstance(getattr(known, key), int) or getattr(known, key) < 0:
            faults.append(f"{name}: setting {key}: {getattr(known, key)!r}; allowed are 0 and whole numbers above")
    if faults:
        raise DataError("\n".join(faults))
    return known


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def check_sources(name: str, sources: Mapping[str, Path], needed: Iterable[str]) -> None:
    """Raises DataError that names all *needed* sources that are not given or not on the disk."""
    needed = list(needed)
    faults = [
        f"{name}: source {source}: {'not there: ' + str(sources[source]) if source in sources else 'not given'}"
        for source in needed
        if source not in sources or not sources[source].exists()
    ]
    if faults:
        raise DataError("\n".join([*faults, f"{name} takes {', '.join(needed)}"]))
