"""What it costs to measure attention beside the forward pass that it is measured in: `python -m benchmarks.attention`.

forward: one pass under fused attention, nothing measured: the base of all ratios.
lmar:    the same pass with the rows of the answers read and reduced layer by layer (steering.analyse.attention).
maps:    the same pass with four layers' whole maps kept (steering.analyse.maps).
eager:   the same numbers as lmar out of `output_attentions=True`, which keeps every map of every head.

time is that of the whole; memory the peak of the tensors that are made, the model left out. growth: by how much the
memory above that of the forward pass grows when the text is twice as long, 2 where it is proportional to the length
and 4 where to its square. Ratios within one run, intervals 95 %. See benchmarks.measure for how they are made.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import torch

from benchmarks.command import add_model, command, wanted
from benchmarks.contenders import FLOOR, Size, contenders, random_batch
from benchmarks.measure import circumstances, interleaved, peak_bytes, ratio, seconds
from benchmarks.methods import table, verdict
from steering.analyse.attention import answer_queries, capture, modality_columns
from steering.analyse.maps import attention_maps
from steering.data.collate import Batch
from steering.manifest import write_json
from steering.model.composed import ComposedModel
from steering.model.language import DTYPES

BASE, ANSWER, MAPS = "forward", 32, 4
"""The base of ratios, the tokens of an answer, and the layers whose maps are kept."""

SIZES = {
    "tiny": Size(layers=2, hidden=128, ffn=192, heads=4, visual=64, tokens=160, samples=2, vocabulary=64),
    "small": Size(layers=4, hidden=384, ffn=1024, heads=6, visual=729, tokens=1000, samples=1),
    "medium": Size(layers=12, hidden=768, ffn=2048, heads=12, visual=729, tokens=1000, samples=2),
    "3b": Size(layers=32, hidden=2560, ffn=10240, heads=32, visual=729, tokens=1000, samples=4),
}
"""729 visual tokens are those of SigLIP at 384 pixels; 3b has the layers of Phi-2."""

LIMITS = {"lmar": 1.25}
"""The time of a measured pass over that of the pass alone, at most."""

Masses = dict[str, torch.Tensor]


class Load:
    """A frozen random model, and batches of one size at any length."""

    def __init__(self, size: Size, *, dtype: str, device: torch.device, seed: int):
        self.size, self.dtype, self.device, self.seed = size, DTYPES[dtype], device, seed
        self.model: ComposedModel = contenders([FLOOR], size, dtype=dtype, device=device, seed=seed)[FLOOR].model
        self.model.eval()

    def batch(self, share: float = 1) -> Batch:
        """Of texts of this share of the size's length, the picture's part as large as in the whole, answers as long."""
        tokens, visual = (round(share * count) for count in (self.size.tokens, self.size.visual))
        size, answer = replace(self.size, tokens=tokens, visual=visual), min(ANSWER, self.size.tokens // 8)
        return random_batch(size, dtype=self.dtype, seed=self.seed, answer=answer).to(self.device)


@torch.no_grad()
def forward(model: ComposedModel, batch: Batch) -> None:
    model.hidden(batch, use_cache=False)


@torch.no_grad()
def lmar(model: ComposedModel, batch: Batch) -> Masses:
    """Group -> mass (l, b)."""
    marks = batch.marks
    with capture(model.language_model, queries=answer_queries(marks), columns=modality_columns(marks)) as recorder:
        model.hidden(batch, use_cache=False)
    return {name: mass.cpu() for name, mass in recorder.mass().items()}


def maps(model: ComposedModel, batch: Batch) -> dict[int, torch.Tensor]:
    depth = model.config.num_hidden_layers
    count = min(MAPS, depth)
    return attention_maps(model, batch, {depth * number // count for number in range(1, count + 1)})


@torch.no_grad()
def eager(model: ComposedModel, batch: Batch) -> Masses:
    """Group -> mass (l, b), from whole maps."""
    queries = answer_queries(batch.marks).float()
    share = queries / queries.sum(1, keepdim=True)  # (b, t)
    with _attention(model, "eager"):
        kept = model.hidden(batch, use_cache=False, output_attentions=True).attentions  # l of (b, h, t, t)
    spread = torch.stack([torch.einsum("bq,bhqk->bk", share, layer.float()) / layer.shape[1] for layer in kept])
    return {name: (spread * group).sum(-1).cpu() for name, group in modality_columns(batch.marks).items()}


@contextmanager
def _attention(model: ComposedModel, implementation: str) -> Iterator[None]:
    before = model.language_model.config._attn_implementation
    model.language_model.set_attn_implementation(implementation)
    try:
        yield
    finally:
        model.language_model.set_attn_implementation(before)


WAYS: dict[str, Callable[[ComposedModel, Batch], Any]] = {BASE: forward, "lmar": lmar, "maps": maps, "eager": eager}


def measure(
    names: list[str], size: str, *, dtype: str, device: torch.device, repeats: int, warmup: int, seed: int
) -> dict[str, Any]:
    """The whole record of one run over the ways of *names*; the forward pass is always among them."""
    names = [BASE, *(name for name in names if name != BASE)]
    settings = {"answer": ANSWER, "dtype": dtype, "repeats": repeats, "warmup": warmup, "seed": seed}
    told = circumstances(device, size=size, **asdict(SIZES[size]), **settings)
    load = Load(SIZES[size], dtype=dtype, device=device, seed=seed)
    whole, half = load.batch(), load.batch(0.5)
    works = {name: lambda way=WAYS[name]: seconds(lambda: way(load.model, whole), device) for name in names}
    timed = interleaved(works, rounds=repeats, warmup=warmup, seed=seed, what="pass")  # type: ignore[arg-type]
    peaks = {name: [_peak(name, load, batch) for batch in (half, whole)] for name in names}
    rows = {name: _row(timed[name], timed[BASE], peaks[name], peaks[BASE]) for name in names}
    return told | {"contenders": rows, "targets": [_judged(name, limit, timed) for name, limit in _limits(names)]}


def _peak(name: str, load: Load, batch: Batch) -> int:
    return peak_bytes(lambda: WAYS[name](load.model, batch), load.device)


def _row(timed: list[float], base: list[float], peaks: list[int], base_peaks: list[int]) -> dict[str, Any]:
    half, whole = (own - floor for own, floor in zip(peaks, base_peaks, strict=True))
    return {
        "raw": {"seconds": timed, "peak_bytes_of_half_and_whole": peaks},
        "ratios": {"time": ratio(timed, base).as_dict(), "memory": ratio(peaks[1:], base_peaks[1:]).as_dict()},
        "bytes_above_forward": whole,
        "growth": whole / half if half > 0 and whole > 0 else None,
    }


def _limits(names: list[str]) -> list[tuple[str, float]]:
    return [(name, limit) for name, limit in LIMITS.items() if name in names]


def _judged(name: str, limit: float, timed: dict[str, list[float]]) -> dict[str, Any]:
    found = ratio(timed[name], timed[BASE])
    told = {"kind": "time", "contender": name, "base": BASE, "limit": limit}
    return told | found.as_dict() | {"verdict": verdict(found, limit)}


def rows_of(record: dict[str, Any]) -> list[list[str]]:
    """Header and a line per way: its time and memory over the forward pass's, what it holds above that, the growth."""
    header = ["way", f"time / {BASE}", f"memory / {BASE}", f"MB above {BASE}", "growth"]
    return [header] + [
        [
            name,
            *(_told(row["ratios"][kind]) for kind in ("time", "memory")),
            f"{row['bytes_above_forward'] / 1e6:.2f}",
            "" if row["growth"] is None else f"{row['growth']:.1f}",
        ]
        for name, row in record["contenders"].items()
    ]


def _told(found: dict[str, float]) -> str:
    if found["low"] == found["high"]:
        return f"{found['value']:.3f}"
    return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


def main(arguments: list[str] | None = None) -> None:
    told = _parser().parse_args(arguments)
    record = measure(**wanted(told, WAYS))
    write_json(told.out, record)
    print(table(rows_of(record), markdown=told.markdown), end="\n\n")
    for row in record["targets"]:
        print(f"{row['contender']} / {row['base']}: at most {row['limit']}, found {_told(row)}: {row['verdict']}")
    print(f"written: {told.out}")


def _parser() -> argparse.ArgumentParser:
    parser = command("attention", __doc__, repeats=9, repeated="rounds of passes")
    add_model(parser, SIZES, WAYS, warmup=2)
    return parser


if __name__ == "__main__":
    main()
