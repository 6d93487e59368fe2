"""Whole attention maps of a few questions that a run answered: writes results/runs/.../maps/.

maps.json tells of each question its tokens, who stands where and the picture's grid; maps.safetensors holds, in
float16, "N.layerL" (t, t), and "N.layerL.visual" (a, v): what each answer token's position pays to the visual tokens.
"""

from pathlib import Path
from typing import Any

from steering import layout
from steering.evaluate.answered import answered, chosen, measuring
from steering.job import Job, Slice, run_stage
from steering.manifest import write_json

NOTES = {
    "maps": "heads averaged; row i is what position i attends to",
    "queries": "positions that produce the run's own answer tokens, the closing token included",
    "questions": "drawn by a hash of their ids, of different pictures where there are as many; the same for every run",
}


def main(content: Slice) -> None:
    run, wanted = (content["world"], content["data"], content["arm"], content["seed"]), content["wanted"]
    dataset = content["benchmarks"][wanted["benchmark"]]["dataset"]
    job = Job("analysis", content, measuring(content, run, dataset))
    if not job.finished.exists():
        with job.making() as out:
            _measure(content, run, out)
            job.manifest(out)
    job.deliver(layout.analysis(*run, "maps"))


def _measure(content: Slice, run: tuple, out: Path) -> None:
    from safetensors.torch import save_file

    from steering.evaluate.trained import trained

    wanted = content["wanted"]
    model, samples = trained(content, layout.run(*run))
    asked = chosen(answered(layout.outcome(*run), wanted["benchmark"]), wanted["questions"])
    told: list[Slice] = []
    held: dict[str, Any] = {}
    for number, record in enumerate(asked):
        facts, maps = _mapped(model, samples, record, content)
        told.append(facts)
        held |= {f"{number}.{name}": found for name, found in maps.items()}
    save_file(held, out / "maps.safetensors")
    about = {"run": "/".join((*run[:3], f"seed{run[3]}")), "arm": run[2], "seed": run[3], "protocol": NOTES}
    about |= {"benchmark": wanted["benchmark"], "layers": sorted(set(wanted["layers"]))}
    write_json(out / "maps.json", about | {"questions": told})


def _mapped(model, samples, record: Slice, content: Slice) -> tuple[Slice, dict]:
    """What maps.json tells of one question, and its arrays by their names in the other file."""
    from steering.analyse.attention import answer_queries
    from steering.analyse.maps import attention_maps, grid_of, spans
    from steering.data.collate import collate

    sample = samples.replay(record["picture"], record["prompt"], record["answer"])
    batch = collate([sample]).to(model.device)
    front, back = samples.scribe.framing(record["prompt"])
    visual = batch.marks.visual[0].cpu()
    queries = answer_queries(batch.marks)[0].nonzero().flatten().tolist()
    arrays = {}
    for layer, found in attention_maps(model, batch, content["wanted"]["layers"]).items():
        arrays[f"layer{layer}"] = found[0]
        arrays[f"layer{layer}.visual"] = found[0][queries][:, visual].contiguous()  # (a, v)
    told = {name: record.get(name) for name in ("id", "image", "question", "prompt", "target", "answer")}
    told["tokens"] = samples.scribe.texts(batch.input_ids[0].tolist(), hidden=visual.tolist())
    told["spans"] = spans(batch.marks, before=len(sample.opening) + front, after=back)
    told["grid"] = grid_of(content["vision_encoder"]["tokens"], sample.places)
    return told | {"queries": queries}, arrays


if __name__ == "__main__":
    run_stage(main, about=__doc__)
