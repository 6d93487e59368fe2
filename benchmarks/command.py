"""What the benchmarks' command lines share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch

from steering.errors import nearest
from steering.model.language import DTYPES

RESULTS = Path(__file__).resolve().parent / "results"


def command(name: str, about: str | None, *, repeats: int, repeated: str) -> argparse.ArgumentParser:
    """The command of the benchmark *name*: how often it measures, from which seed, and where it writes.

    about: its docstring, whose first line is shown. repeated: what a repeat is.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=(about or "").split("\n")[0])
    parser.add_argument("--repeats", type=positive, default=repeats, help=repeated)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / f"{name}.json")
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    return parser


def add_model(parser: argparse.ArgumentParser, sizes: Collection[str], names: Collection[str], *, warmup: int) -> None:
    """Which model, where, and some of *names* alone; the rounds dropped before each of them."""
    parser.add_argument("--size", choices=list(sizes), default="medium")
    parser.add_argument("--dtype", choices=list(DTYPES), help="float32 unless told; bfloat16 at 3b")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--warmup", type=int, default=warmup, help="rounds dropped before each kind of work")
    parser.add_argument("--only", nargs="+", type=one_of(names), metavar="NAME", help=f"some of {', '.join(names)}")


def wanted(told: argparse.Namespace, names: Collection[str]) -> dict[str, Any]:
    """What a command with `add_model` asks for, as the benchmark's `measure` takes it."""
    return {
        "names": told.only or list(names),
        "size": told.size,
        "dtype": told.dtype or ("bfloat16" if told.size == "3b" else "float32"),
        "device": torch.device(told.device),
        "repeats": told.repeats,
        "warmup": told.warmup,
        "seed": told.seed,
    }


def one_of(names: Collection[str]) -> Callable[[str], str]:
    def known(name: str) -> str:
        if name not in names:
            raise argparse.ArgumentTypeError(f"{name} is unknown; allowed {', '.join(names)}{nearest(name, names)}")
        return name

    return known


def positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}; allowed 1 or more")
    return int(text)
