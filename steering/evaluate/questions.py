"""Which questions of a benchmark are asked: whole pictures in a seeded order that all benchmarks share.

Benchmarks about the same pictures thus ask about the same pictures, whose visual tokens are then computed once.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Container, Mapping, Sequence
from random import Random
from typing import Any

from steering.evaluate.benchmarks import Example


def draw(
    examples: Sequence[Example],
    share: Mapping[str, Any],
    *,
    identity: Callable[[Example], str],
    seed: int,
    seen: Container[str] = (),
) -> list[Example]:
    """At most share["questions"] of *examples*, at most share["per_picture"] about a picture, none of *seen*."""
    by_picture: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        if (picture := identity(example)) not in seen:
            by_picture[picture].append(example)
    random, drawn = Random(f"{seed}/questions"), []
    for picture in sorted(by_picture, key=lambda name: _rank(name, seed)):
        asked = by_picture[picture]
        random.shuffle(asked)
        drawn += asked[: share["per_picture"]]
    return drawn[: share["questions"]]


def _rank(picture: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{picture}".encode()).hexdigest()
