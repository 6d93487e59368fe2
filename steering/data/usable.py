"""What of a data set is used: all but the pictures that its check leaves out, and what is said about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from steering import layout
from steering.data.conversations import Conversation, read
from steering.manifest import read_json


def excluded(world: str, dataset: str) -> frozenset[str]:
    """Names of the pictures that the check leaves out; none for a data set that was never checked."""
    check = layout.check(world, dataset)
    return frozenset(read_json(check)["excluded"]) if check.exists() else frozenset()


def conversations(world: str, dataset: str, file: str) -> tuple[list[Conversation], dict[str, int]]:
    """The conversations of *file* in the data set, but for those on pictures left out, and how many those were.

    Pictures are named "<dataset>/<name in the archive>". Raises DataError as read does.
    """
    told, faulty = read(layout.dataset(world, dataset) / file), excluded(world, dataset)
    kept = [replace(c, image=c.image and f"{dataset}/{c.image}") for c in told if c.image not in faulty]
    return kept, {f"{dataset}/{file}": len(told) - len(kept)} if len(kept) < len(told) else {}


def tell_left_out(counts: Mapping[str, int]) -> None:
    """Print what was left out with the pictures, how often by what it is; nothing where nothing was."""
    if counts:
        told = ", ".join(f"{what} {count:,}" for what, count in counts.items())
        print(f"left out with pictures that cannot be used: {told}")
