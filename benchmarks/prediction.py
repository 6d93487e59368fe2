"""Answering questions that share a picture, and endings that share a context: `python -m benchmarks.prediction`.

pope, vqav2:     ours over transformers' generate, one question at a time and all in one batch padded on the left; 6
                 and 5 questions a picture, short answers. Ours reads a picture once for all its questions.
hellaswag, mmlu: the log-likelihoods of 4 endings a context, which ours reads once, over a full pass for each ending,
                 one at a time and all in one batch.
leaving:         long answers of many lengths, with finished samples leaving the batch over staying in it; ours both.

Seconds per question; ratios of one run, below 1 where the first is faster. First all ways must give the same answers,
or the same log-likelihoods and choices; nothing is measured unless they do. MoReS is attached on all sides.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from benchmarks import answering
from benchmarks.answering import ENDINGS, FORMS, LONG, WORLDS, Answering
from benchmarks.command import add_model, command, wanted
from benchmarks.measure import circumstances, interleaved, ratio, seconds
from benchmarks.methods import table, verdict
from steering.manifest import write_json

LIMITS = {("pope", "one by one"): 1 / 4, ("pope", "batched"): 1 / 1.7, ("vqav2", "batched"): 1 / 1.7}
"""The most that ours may take of what the other takes."""
NAMES = (*FORMS, *ENDINGS, "leaving")

AGREEMENT = {"float32": 1e-2, "bfloat16": 1.0}
"""How far the log-likelihoods of an ending may lie apart, in nats."""

Ways = dict[str, Callable[[], Any]]


def measure(
    names: list[str], size: str, *, dtype: str, device: torch.device, repeats: int, warmup: int, seed: int
) -> dict[str, Any]:
    """The whole record of one run over *names*. Raises SteeringError where the ways to answer differ."""
    load = Answering(size, dtype=dtype, device=device, seed=seed)
    told = circumstances(device, size=size, dtype=dtype, repeats=repeats, warmup=warmup, seed=seed)
    rows = {name: _compared(name, load, repeats=repeats, warmup=warmup) for name in names}
    return told | {"workload": _workload(size), "comparisons": rows}


def _workload(size: str) -> dict[str, Any]:
    world = WORLDS[size]
    forms = {name: vars(form) for name, form in {**FORMS, **ENDINGS, "leaving": LONG}.items()}
    return {"language": dict(world.language), "visual_tokens": world.visual, "forms": forms}


def _compared(name: str, load: Answering, *, repeats: int, warmup: int) -> dict[str, Any]:
    ways, told = ways_of(name, load)
    works = {way: partial(_seconds, run, told["questions"], load.device) for way, run in ways.items()}
    raw = interleaved(works, rounds=repeats, warmup=warmup, seed=load.seed, what=name)
    first, *others = raw
    ratios = {other: _ratio(raw[first], raw[other], LIMITS.get((name, other))) for other in others}
    return told | {"first": first, "raw": raw, "ratios": ratios}


def _seconds(run: Callable[[], Any], questions: int, device: torch.device) -> float:
    return seconds(run, device) / questions


def _ratio(values: list[float], base: list[float], limit: float | None) -> dict[str, Any]:
    found = ratio(values, base)
    told = None if limit is None else verdict(found, limit)
    return {**found.as_dict(), "limit": limit, "verdict": told}


def ways_of(name: str, load: Answering) -> tuple[Ways, dict[str, Any]]:
    """The ways to do the work of *name*, ours first, and what is known of it once they have been found to agree."""
    if name in FORMS:
        return _answers(load, name)
    return _endings(load, name) if name in ENDINGS else _leaving(load)


def _answers(load: Answering, name: str) -> tuple[Ways, dict[str, Any]]:
    form, samples = FORMS[name], load.asked(FORMS[name])
    ways: Ways = {
        "shared picture": partial(answering.shared, load.ours, samples, form.answer),
        "one by one": partial(answering.one_by_one, load.stock, samples, form.answer),
        "batched": partial(answering.batched, load.stock, samples, form.answer),
    }
    return ways, {"questions": answering.same_answers(ways)}


def _endings(load: Answering, name: str) -> tuple[Ways, dict[str, Any]]:
    requests = load.requests(ENDINGS[name])
    ways: Ways = {
        "shared context": partial(answering.weighed, load.ours, requests),
        "one by one": partial(answering.full_passes, load.stock, requests, together=False),
        "batched": partial(answering.full_passes, load.stock, requests, together=True),
    }
    apart = answering.same_values(ways, within=AGREEMENT[load.load.dtype])
    return ways, {"questions": len(requests), "nats_apart": apart}


def _leaving(load: Answering) -> tuple[Ways, dict[str, Any]]:
    samples, usual = load.asked(LONG), answering.generate.KEPT_SHARE

    def answered(share: float) -> list[list[int]]:
        with answering.leaving(share):
            return answering.shared(load.ending, samples, LONG.answer)

    ways: Ways = {"finished leave": partial(answered, usual), "finished stay": partial(answered, 0)}
    lengths = [len(said) for said in answered(0)]
    return ways, {"questions": answering.same_answers(ways), "answer_tokens": lengths}


def rows_of(record: dict[str, Any]) -> list[list[str]]:
    """Header and one line per pair: who over whom, the ratio with its interval, target and verdict."""
    header = ["comparison", "seconds per question", "ratio", "times as fast", "target", "verdict"]
    return [header] + [
        [
            f"{name}: {row['first']} / {other}",
            f"{_middle(row['raw'][row['first']]):.3f} / {_middle(row['raw'][other]):.3f}",
            f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]",
            f"{1 / found['value']:.2f}",
            "" if found["limit"] is None else f"{1 / found['limit']:.1f} times",
            found["verdict"] or "",
        ]
        for name, row in record["comparisons"].items()
        for other, found in row["ratios"].items()
    ]


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def main(arguments: list[str] | None = None) -> None:
    told = _parser().parse_args(arguments)
    record = measure(**wanted(told, NAMES))
    write_json(told.out, record)
    print(table(rows_of(record), markdown=told.markdown))
    print(f"\nwritten: {told.out}")


def _parser() -> argparse.ArgumentParser:
    parser = command("prediction", __doc__, repeats=5, repeated="rounds of each comparison")
    add_model(parser, WORLDS, NAMES, warmup=1)
    return parser


if __name__ == "__main__":
    main()
