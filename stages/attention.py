"""LMAR and the share of attention on visual positions, per layer, of one run: writes results/runs/.../attention/.

The queries are the positions that produce the run's own answers; fused attention runs the model, and only those
rows are computed again. attention.json keeps each sample's share, so that runs can be compared sample by sample.
"""

from steering import layout
from steering.evaluate.answered import answered, measuring
from steering.job import Job, Slice, run_stage
from steering.manifest import write_json

NOTES = {
    "queries": "positions that produce the run's own answer tokens, the closing token included; heads averaged",
    "text": "template, question and earlier answer tokens",
    "interval": "95 %, bootstrap over samples",
}


def main(content: Slice) -> None:
    run = (content["world"], content["data"], content["arm"], content["seed"])
    job = Job("attention", content, measuring(content, run, content["form"]["dataset"]))
    if not job.finished.exists():
        with job.making() as out:
            write_json(out / "attention.json", _measured(content, run))
            job.manifest(out)
    job.deliver(layout.outcome(*run) / "attention")


def _measured(content: Slice, run: tuple) -> Slice:
    from steering.analyse.attention import ModalityAttention, attention_summary
    from steering.evaluate.trained import trained

    model, samples = trained(content, layout.run(*run))
    records = answered(layout.outcome(*run), content["benchmark"])[: content["questions"]]
    parts = [_measure(model, samples, records[i : i + 8]) for i in range(0, len(records), 8)]
    named = [{"id": record["id"], "group": record["group"]} for record in records]
    summary = attention_summary(ModalityAttention.joined(parts), seed=0, named=named)
    about = {"run": "/".join((*run[:3], f"seed{run[3]}")), "arm": run[2], "seed": run[3]}
    about |= {"benchmark": content["benchmark"], "layers": len(summary["visual_share"]), "protocol": NOTES}
    return about | summary


def _measure(model, samples, records: list[Slice]):
    from steering.analyse.attention import answer_queries, capture, modality_columns
    from steering.data.collate import collate

    batch = collate([samples.replay(r["picture"], r["prompt"], r["answer"]) for r in records]).to(model.device)
    marks = batch.marks
    with capture(model.language_model, queries=answer_queries(marks), columns=modality_columns(marks)) as recorder:
        model.hidden(batch, use_cache=False)
    return recorder.result()


if __name__ == "__main__":
    run_stage(main, about=__doc__)
