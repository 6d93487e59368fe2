"""The loss landscape around one run's trained point: writes results/runs/.../landscape/landscape.json.

What was trained is moved, and only that. The conversations are drawn by world and mixture alone, so that all arms and
seeds are measured on the same ones. Each row of the plane is on disk as soon as it is measured, in losses.jsonl; an
attempt that was cut short goes on behind the last.
"""

import json
from pathlib import Path
from random import Random
from typing import Any

from steering import layout
from steering.analyse import sharpness
from steering.data.conversations import Conversation, read
from steering.errors import SteeringError
from steering.evaluate import journal
from steering.interrupts import Interrupted, Interrupts
from steering.job import Job, Slice, run_stage
from steering.manifest import write_json
from steering.progress import progress

LINES, RECORD = "losses.jsonl", "landscape.json"
NOTES = {
    "loss": "cross-entropy in nats, mean over the answer tokens of training conversations, the same for every arm",
    "what moves": "all that the run trained: its method's parameters, the connector, and the encoder's where trained",
    "directions": "normal random numbers, each filter scaled to the norm of the trained one (Li et al. 2018)",
    "filter": "a row of a matrix; a vector as a whole; a column of what an editor writes with (R, W_up)",
    "sharpness": "mean relative rise of the loss at the radius, both ways along random directions off the plane",
    "interval": "95 %, over directions, or training seeds where there are several, and conversations, crossed",
    "worst rise": "the largest on the plane within the radius: a lower bound of the largest within the ball",
    "tied editors": "R is orthonormal whatever its parameters: a step of t turns it by arctan t",
}


def main(content: Slice) -> None:
    from steering import assemble

    run = (content["world"], content["data"], content["arm"], content["seed"])
    inputs = {
        "run": layout.run(*run),
        "base": layout.language_model(content["language_model"]["name"]),
        "conversations": layout.mixture(content["world"], content["data"]),
        **assemble.pictures(content, content["datasets"]),
    }
    if assemble.live(content, layout.run(*run)):
        inputs["vision"] = layout.vision_encoder(content["vision_encoder"]["name"])
    job = Job("analysis", content, inputs)
    if not job.finished.exists():
        _measure(job, content, layout.run(*run))
    job.deliver(layout.analysis(*run, content["analysis"]))


def chosen(content: Slice) -> list[Conversation]:
    """As many of the mixture's conversations as are wanted, or all, by the names of world and mixture alone."""
    told = read(layout.mixture(content["world"], content["data"]))
    count = min(content["wanted"]["conversations"], len(told))
    return [told[at] for at in sorted(Random(f"{content['world']}/{content['data']}").sample(range(len(told)), count))]


def _measure(job: Job, content: Slice, run: Path) -> None:
    from steering import assemble
    from steering.analyse.landscape import Landscape, Walk, answer_losses, answer_tokens, batched, cosine, described
    from steering.evaluate.trained import trained
    from steering.train.optimiser import release, trained_by_part

    model, _ = trained(content, run, trainable=True)
    release(_recipe(content["recipe"]), model)
    model.eval()
    parts = trained_by_part(model)
    independent = content["recipe"]["independent_turns"]
    samples = assemble.samples(content, content["template"], model, independent=independent)
    talks = chosen(content)
    laid_out = [samples.sample(talk.image, talk.turns) for talk in talks]
    batches, order = batched(laid_out, independent=independent)
    batches, talks = [batch.to(model.device) for batch in batches], [talks[at] for at in order]
    walk = Walk({name: parameter for own in parts.values() for name, parameter in own.items()})
    if not walk.parameters:
        raise SteeringError(f"{run}: trains nothing, so there is nothing to move; allowed: a method or a connector")
    with job.making() as out, walk:
        landscape = Landscape(lambda: answer_losses(model, batches), walk, content["wanted"])
        done = _go_on(out / LINES, landscape)
        weights = {part: {name: walk.trained[name] for name in own} for part, own in parts.items()}
        facts = {
            "conversations": _about(talks, answer_tokens(batches)),
            "trained": described(weights),
            "cosine": cosine(*landscape.plane),
        }
        write_json(out / RECORD, _record(content, facts, landscape.axis, _lines(out / LINES)))
        job.manifest(out, resumed_from=done)


def _recipe(told: Slice) -> Any:
    from steering.train.optimiser import Recipe

    return Recipe(**{name: value for name, value in told.items() if name in Recipe.__dataclass_fields__})


def _go_on(path: Path, landscape: Any) -> int:
    """Measure what *path* does not hold yet; returns how much it held."""
    units = landscape.units
    done = journal.resume(path, units, lambda unit: [unit], told=lambda line: line["unit"])
    with Interrupts() as interrupts:
        for number in progress(range(done, len(units)), "part of the landscape", start=done):
            if interrupts.asked:
                at = f"stopped after part {number} of {len(units)}"
                raise Interrupted(f"{interrupts.asked}: {at}; run again to go on from there")
            journal.append(path, [{"unit": units[number], "sums": landscape.measure(units[number])}])
    return done


def _lines(path: Path) -> dict[str, list]:
    with path.open(encoding="utf-8") as file:
        return {line["unit"]: line["sums"] for line in map(json.loads, file)}


def _about(talks: list[Conversation], tokens: list[int]) -> Slice:
    pictures = [talk.image or talk.id for talk in talks]
    return {"n": len(talks), "ids": [talk.id for talk in talks], "groups": pictures, "tokens": tokens}


def _record(content: Slice, facts: Slice, axis: list[float], sums: dict[str, list]) -> Slice:
    names = {name: content[name] for name in ("arm", "seed")}
    run = "/".join((content["world"], content["data"], content["arm"], f"seed{content['seed']}"))
    tokens = sum(facts["conversations"]["tokens"])
    rows = [[sum(point) / tokens for point in sums[f"row {number}"]] for number in range(len(axis))]
    rays = [found for unit, found in sums.items() if unit.startswith("ray")]
    told = {"run": run, **names, **facts, "axis": axis, "loss": sharpness.finite(rows)}
    told |= {"radius": content["wanted"]["radius"]}
    told |= {"sums": sharpness.finite({"trained": sums["trained"][0], "rays": rays})}
    found = {"sharpness": sharpness.sharpness([told]).as_dict(), "worst": sharpness.finite(sharpness.worst(told))}
    return {**told, **found, "protocol": NOTES}


if __name__ == "__main__":
    run_stage(main, about=__doc__)
