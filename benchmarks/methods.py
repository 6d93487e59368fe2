"""What every method costs against the frozen model, in time and memory: `python -m benchmarks.methods`.

step:    a training step (forward, loss on the answers, backward, AdamW) over the floor: the frozen model with the
         gradient of its visual embeddings, as a trained connector needs it.
memory:  the peak of a step and what the method keeps (its parameters, AdamW's state) over the peak of the floor's
         step; the frozen weights, which all share, are in neither.
prefill: a forward pass of the whole batch with a cache, over the bare model's.
decode:  a token behind that cache, over the bare model's.

Ratios within one run, never seconds; intervals are 95 %. See benchmarks.measure for how they are made.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch

from benchmarks.command import add_model, command, wanted
from benchmarks.contenders import FLOOR, METHODS, SIZES, Contender, contenders
from benchmarks.measure import circumstances, interleaved, peak_bytes, ratio, seconds
from steering.analyse.statistics import Interval
from steering.manifest import write_json

ROUNDS = {"step": 1, "prefill": 2, "decode": 4}
"""Rounds of each kind of work per asked repeat: the shorter the work, the more."""

DECODED = 16


@dataclass(frozen=True)
class Target:
    """`contender` over `base` in `kind` should be at most `limit`."""

    kind: str
    contender: str
    base: str
    limit: float


TARGETS = [
    Target("step", "mores_1", FLOOR, 1.03),
    Target("step", "mores_1", "lora_r128", 0.75),
    Target("step", "mrt_text", FLOOR, 1.05),
    Target("memory", "mores_1", FLOOR, 1.01),
    Target("prefill", "mores_1", FLOOR, 1.01),
    Target("decode", "mores_1", FLOOR, 1.01),
]


def measure(
    names: list[str], size: str, *, dtype: str, device: torch.device, repeats: int, warmup: int, seed: int
) -> dict[str, Any]:
    """The whole record of one run over the contenders of *names*; the floor is always among them."""
    names = [FLOOR, *(name for name in names if name != FLOOR)]
    told = circumstances(
        device, size=size, **asdict(SIZES[size]), dtype=dtype, repeats=repeats, warmup=warmup, seed=seed
    )
    built = contenders(names, SIZES[size], dtype=dtype, device=device, seed=seed)
    timed = {
        kind: interleaved(_works(kind, built, device), rounds=repeats * share, warmup=warmup, seed=seed, what=kind)
        for kind, share in ROUNDS.items()
    }
    raw = timed | {"memory": {name: [held_bytes(contender, device)] for name, contender in built.items()}}
    rows = {name: _row(name, contender, raw) for name, contender in built.items()}
    return told | {"contenders": rows, "targets": [_judged(target, raw) for target in TARGETS if _named(target, names)]}


def _works(kind: str, built: dict[str, Contender], device: torch.device) -> dict[str, Callable[[], float]]:
    for contender in built.values():
        contender.model.train(kind == "step")
    clock = {"step": _step_seconds, "prefill": _prefill_seconds, "decode": _decode_seconds}[kind]
    return {name: lambda contender=contender: clock(contender, device) for name, contender in built.items()}  # type: ignore[misc]


def _step_seconds(contender: Contender, device: torch.device) -> float:
    return seconds(contender.step, device)


def _prefill_seconds(contender: Contender, device: torch.device) -> float:
    return seconds(contender.prefill, device)


def _decode_seconds(contender: Contender, device: torch.device) -> float:
    with contender.decoding(DECODED) as work:
        return seconds(work, device) / DECODED


def held_bytes(contender: Contender, device: torch.device) -> int:
    """The peak of one step with all that the method keeps between steps, the frozen weights left out."""
    contender.model.train()
    contender.step()  # AdamW makes its state in the first step
    return peak_bytes(contender.step, device) + contender.extra_bytes + contender.optimiser_bytes


def _row(name: str, contender: Contender, raw: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    return {
        "arm": METHODS[name].model_dump(mode="json"),
        "trainable": contender.trainable,
        "parameter_bytes": contender.extra_bytes,
        "optimiser_bytes": contender.optimiser_bytes,
        "raw": {kind: raw[kind][name] for kind in raw},
        "ratios": {kind: ratio(raw[kind][name], raw[kind][FLOOR]).as_dict() for kind in raw},
    }


def _named(target: Target, names: list[str]) -> bool:
    return {target.contender, target.base} <= set(names)


def _judged(target: Target, raw: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    found = ratio(raw[target.kind][target.contender], raw[target.kind][target.base])
    return asdict(target) | found.as_dict() | {"verdict": verdict(found, target.limit)}


def verdict(found: Interval, limit: float) -> str:
    """Whether a ratio is at most *limit*: "met" or "missed" where its interval tells, else "unclear"."""
    if found.high <= limit:
        return "met"
    return "missed" if found.low > limit else "unclear"


def rows_of(record: dict[str, Any]) -> list[list[str]]:
    """Header and one line per contender: its size, what it keeps, and the four ratios with their intervals."""
    header = ["method", "trainable", "state MB", "step / floor", "memory / floor", "prefill / bare", "decode / bare"]
    return [header] + [
        [
            name,
            f"{row['trainable']:,}",
            f"{(row['parameter_bytes'] + row['optimiser_bytes']) / 1e6:.2f}",
            *(_told(row["ratios"][kind]) for kind in ("step", "memory", "prefill", "decode")),
        ]
        for name, row in record["contenders"].items()
    ]


def target_rows(record: dict[str, Any]) -> list[list[str]]:
    header = ["target", "limit", "found", "verdict"]
    return [header] + [
        [f"{row['kind']}: {row['contender']} / {row['base']}", f"{row['limit']}", _told(row), row["verdict"]]
        for row in record["targets"]
    ]


def _told(found: dict[str, float]) -> str:
    if found["low"] == found["high"]:
        return f"{found['value']:.3f}"
    return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


def table(rows: list[list[str]], *, markdown: bool = False) -> str:
    """*rows*, the first of which is the header, in columns; or as a Markdown table."""
    if markdown:
        ruled = [rows[0], ["---"] + ["---:"] * (len(rows[0]) - 1), *rows[1:]]
        return "\n".join(f"| {' | '.join(row)} |" for row in ruled)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def main(arguments: list[str] | None = None) -> None:
    told = _parser().parse_args(arguments)
    record = measure(**wanted(told, METHODS))
    write_json(told.out, record)
    for rows in (rows_of(record), target_rows(record)):
        print(table(rows, markdown=told.markdown), end="\n\n")
    print(f"written: {told.out}")


def _parser() -> argparse.ArgumentParser:
    parser = command("methods", __doc__, repeats=9, repeated="rounds of steps; prefill takes 2x, decode 4x")
    add_model(parser, SIZES, METHODS, warmup=2)
    return parser


if __name__ == "__main__":
    main()
