"""Our training step against transformers' Trainer, and what each part of it saves: `python -m benchmarks.training`.

trainer_connector, trainer_mores: our step over Trainer's on the same model and questions, the connector trained alone
           or with MoReS; several short questions to a picture. Both get cached features and give the same loss.
same_rows: ours over Trainer's where ours too has one question to a row and logits at every position: the loop alone.
sharing:   questions that share their picture's tokens over one question to a row; ours both.
logits:    logits at answers alone over logits at every position; ours both.
features:  cached features over the vision encoder running in the step; ours both.
grouping:  batches of like lengths over batches drawn at random from a population of mixed lengths (benchmarks.workload
           has its distribution), in time per token that is not padding; each round takes the next 4 steps; ours both.

A step is collating, forward, backward, clipping, AdamW and its schedule, the loss read; see benchmarks.peer for the
peer's. Time per question or token; ratios of one run, below 1 where the first is faster. Where both of a pair take the
same step, their losses are compared first, and nothing is measured unless they agree. On a GPU also what our step
does per second and the share of the chip's peak that is.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
from functools import partial
from statistics import median
from typing import Any

import torch

from benchmarks.command import add_model, command, wanted
from benchmarks.measure import circumstances, interleaved, ratio, seconds
from benchmarks.methods import table, verdict
from benchmarks.pairs import COMPARISONS, Contender, padding
from benchmarks.workload import SIZES, Workload, asked, step_flops
from steering.data.collate import collate
from steering.errors import SteeringError
from steering.manifest import write_json

AGREEMENT = {"float32": 1e-4, "bfloat16": 2e-2}
"""How far two losses may lie apart, in nats per supervised token."""

PEAKS = {
    "A100": 312e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "H200": 989e12,
    "L40S": 362e12,
    "RTX 4090": 165e12,
}
"""Dense bfloat16 FLOP/s by what a GPU's name has in it, from the makers' data sheets; the first that fits."""


def measure(
    names: list[str], size: str, *, dtype: str, device: torch.device, repeats: int, warmup: int, seed: int
) -> dict[str, Any]:
    """The whole record of one run over the comparisons of *names*. Raises SteeringError where losses differ."""
    load = Workload(SIZES[size], dtype=dtype, device=device, seed=seed)
    told = circumstances(device, size=size, dtype=dtype, repeats=repeats, warmup=warmup, seed=seed)
    told["versions"]["accelerate"] = importlib.metadata.version("accelerate")
    rows = {name: _compared(name, load, repeats=repeats, warmup=warmup) for name in names}
    work = load.told() | {"padding": padding(load)}
    return told | {"workload": work, "comparisons": rows, "throughput": throughput(load, repeats=repeats)}


def _compared(name: str, load: Workload, *, repeats: int, warmup: int) -> dict[str, Any]:
    comparison = COMPARISONS[name]
    pair = comparison.pair(load)
    losses = agreed(pair, within=AGREEMENT[load.dtype])
    works = {item.name: partial(item.seconds, load.device) for item in pair}
    raw = interleaved(works, rounds=repeats, warmup=warmup, seed=load.seed, what=name)
    found = ratio(*raw.values())
    told = {"unit": comparison.unit, "losses": losses, "raw": raw, "limit": comparison.limit, **found.as_dict()}
    return told | {"verdict": None if comparison.limit is None else verdict(found, comparison.limit)}


def agreed(pair: tuple[Contender, ...], *, within: float) -> dict[str, float]:
    """The losses of contenders that take the same step; SteeringError where they are further apart than *within*."""
    losses = {item.name: item.loss() for item in pair if item.loss is not None}
    if losses and max(losses.values()) - min(losses.values()) > within:
        raise SteeringError(f"not the same step: losses {losses}; allowed {within} apart")
    return losses


def throughput(load: Workload, *, repeats: int) -> dict[str, Any]:
    """What our step with MoReS does in a second: median of *repeats* after one that is dropped; memory on CUDA alone.

    peak_memory_bytes: all that torch held at once, weights included.
    model_flops_share: of the chip's dense bfloat16 peak, None for another dtype or a chip that PEAKS lacks.
    """
    gc.collect()  # a Trainer refers to itself, so those that are done with may still be there
    model, samples = load.ours("mores"), load.samples
    batch = collate(samples)
    model.step(samples)
    cuda = load.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(load.device)
    took = median(seconds(lambda: model.step(samples), load.device) for _ in range(repeats))
    rate = step_flops(model.model, batch) / took
    peak = peak_flops(torch.cuda.get_device_name(load.device)) if cuda and load.dtype == "bfloat16" else None
    return {
        "tokens_per_second": batch.tokens / took,
        "questions_per_second": asked(samples) / took,
        "flops_per_second": rate,
        "model_flops_share": None if peak is None else rate / peak,
        "peak_memory_bytes": torch.cuda.max_memory_allocated(load.device) if cuda else None,
    }


def peak_flops(chip: str) -> float | None:
    """Dense bfloat16 FLOP/s of the GPU called *chip*, None for one that is not known."""
    return next((peak for name, peak in PEAKS.items() if name in chip), None)


def rows_of(record: dict[str, Any]) -> list[list[str]]:
    """Header and one line per comparison: who over whom, the ratio with its interval, target and verdict."""
    header = ["comparison", "time per", "ratio", "times as fast", "target", "verdict"]
    return [header] + [
        [
            f"{name}: {' / '.join(row['raw'])}",
            row["unit"],
            f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]",
            f"{1 / row['value']:.2f}",
            "" if row["limit"] is None else f"{row['limit']}",
            row["verdict"] or "",
        ]
        for name, row in record["comparisons"].items()
    ]


def throughput_rows(record: dict[str, Any]) -> list[list[str]]:
    """What our step does in a second, as far as it is known."""
    told = record["throughput"]
    return [["our step", record["machine"]["device"]]] + [
        [name, f"{value:.3g}" if value < 1000 else f"{value:,.0f}"] for name, value in told.items() if value is not None
    ]


def main(arguments: list[str] | None = None) -> None:
    told = _parser().parse_args(arguments)
    record = measure(**wanted(told, COMPARISONS))
    write_json(told.out, record)
    for rows in (rows_of(record), throughput_rows(record)):
        print(table(rows, markdown=told.markdown), end="\n\n")
    print(f"written: {told.out}")


def _parser() -> argparse.ArgumentParser:
    parser = command("training", __doc__, repeats=9, repeated="rounds of each comparison")
    add_model(parser, SIZES, COMPARISONS, warmup=2)
    return parser


if __name__ == "__main__":
    main()
