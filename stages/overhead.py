"""Seconds that each arm of an experiment adds to a question's answer: writes results/EXPERIMENT/overhead.json.

All arms in one process, by the run of the first seed, in turns. Nothing else should run meanwhile; the bare model takes
part twice, so that the record tells where something did.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from steering import layout
from steering.errors import DataError
from steering.evaluate.results import answers_of
from steering.job import Slice, run_stage
from steering.manifest import write_json

if TYPE_CHECKING:
    from steering.analyse.overhead import Asked
    from steering.assemble import Samples

WARMUP = 1
"""Rounds that are run and dropped."""


def main(content: Slice) -> None:
    from steering.analyse.overhead import AGAIN, BARE, contenders, measure, record
    from steering.analyse.timing import circumstances
    from steering.evaluate.one_base import OneBase
    from steering.model.device import device

    wanted, runs = content["wanted"], content["runs"]
    control = next(run for run in runs if run["arm"] == content["control"])
    base = OneBase(content, runs)
    bare = base.bare(control)
    asked = _asked(control, content, base.samples(bare))
    told = circumstances(device(), **wanted, warmup=WARMUP, **_model(content, bare), live=base.live)
    timed = contenders(runs, merging="quantise" not in _set(content["language_model"]))
    openings = {BARE: lambda: bare, AGAIN: _another(base.bare(control))}
    openings |= {one.name: base.opening(one.run, merged=one.merged) for one in timed}
    raw = measure(openings, asked, tokens=wanted["tokens"], rounds=wanted["repeats"], warmup=WARMUP)
    told["machine"]["load_after"] = round(os.getloadavg()[0], 2)
    about = {"experiment": content["experiment"], "world": content["world"], "benchmark": wanted["benchmark"]}
    write_json(layout.overhead(content["experiment"]), about | told | record(raw, timed, asked))


def _another(model):
    """The bare model's second self has modules of its own, as every arm has."""
    return lambda: model


def _set(row: Slice) -> Slice:
    return {name: value for name, value in row.items() if value}


def _model(content: Slice, bare) -> Slice:
    dtype, attention = str(bare.dtype).removeprefix("torch."), bare.language_model.config._attn_implementation
    return {"language_model": content["language_model"]["name"], "dtype": dtype, "attention": attention}


def _asked(run: Slice, content: Slice, samples: Samples) -> list[Asked]:
    """Pictured questions of the benchmark, each in a batch of its own, in the length of what *run* answered."""
    from steering.analyse.overhead import Asked
    from steering.data.collate import collate
    from steering.model.device import device

    return [
        Asked(
            collate([samples.sample(line["picture"], [(line["prompt"], None)])]).to(device()),
            len(samples.scribe.replay(line["prompt"], line["answer"]).answer),
        )
        for line in _lines(run, content)
    ]


def _lines(run: Slice, content: Slice) -> list[Slice]:
    wanted = content["wanted"]
    outcome = layout.outcome(run["world"], run["data"], run["arm"], run["seed"])
    answered = answers_of(outcome).get((wanted["benchmark"], content["split"]), [])
    if lines := [line for line in answered if line["picture"]]:
        return _spread(lines, wanted["questions"])
    found = f"no pictured question of {wanted['benchmark']}, {content['split']}"
    raise DataError(f"{outcome / 'predictions'}: {found}; allowed a benchmark of pictures, answered in words")


def _spread(lines: Sequence[Slice], count: int) -> list[Slice]:
    """*count* of *lines*, or all where there are fewer, evenly over the whole of them."""
    kept = min(count, len(lines))
    return [lines[at * len(lines) // kept] for at in range(kept)]


if __name__ == "__main__":
    run_stage(main, about=__doc__)
