"""LMAR and the share of attention on visual positions, per layer, of one run: writes results/runs/.../attention.json.

The queries are the positions that produce the run's own answers; fused attention runs the model, and only those
rows are computed again.
"""

import json

from steering import layout
from steering.job import Slice, run_stage
from steering.manifest import write_json

NOTES = {
    "queries": "positions that produce the run's own answer tokens, the closing token included; heads averaged",
    "text": "template, question and earlier answer tokens",
    "interval": "95 %, bootstrap over samples",
}


def main(content: Slice) -> None:
    from steering.analyse.attention import ModalityAttention, attention_summary
    from steering.evaluate.trained import trained

    names = (content["world"], content["data"], content["arm"], content["seed"])
    model, samples = trained(content, layout.run(*names))
    records = _answered(names, content["benchmark"], content["questions"])
    parts = [_measure(model, samples, records[i : i + 8]) for i in range(0, len(records), 8)]
    summary = attention_summary(ModalityAttention.joined(parts), seed=0)
    about = {"run": "/".join((*names[:3], f"seed{names[3]}")), "arm": names[2], "seed": names[3]}
    about |= {"benchmark": content["benchmark"], "layers": len(summary["visual_share"]), "protocol": NOTES}
    write_json(layout.outcome(*names) / "attention.json", about | summary)


def _answered(names: tuple, benchmark: str, count: int) -> list[Slice]:
    path = layout.outcome(*names) / "predictions" / "predictions.jsonl"
    with path.open(encoding="utf-8") as file:
        records = [line for line in map(json.loads, file) if line["benchmark"] == benchmark]
    return [line for line in sorted(records, key=lambda line: line["id"]) if line["picture"]][:count]


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
