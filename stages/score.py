"""Score a run's predictions, without a model: writes results/runs/.../scores.json, per benchmark and split."""

import json
from collections import defaultdict

from steering import layout
from steering.evaluate.asking import Asked
from steering.evaluate.benchmarks import FORMS
from steering.evaluate.scoring import score
from steering.job import Slice, run_stage
from steering.manifest import write_json


def main(content: Slice) -> None:
    names = (content["world"], content["data"], content["arm"], content["seed"])
    predictions = defaultdict(list)
    with (layout.outcome(*names) / "predictions" / "predictions.jsonl").open(encoding="utf-8") as file:
        for line in map(json.loads, file):
            predictions[line.pop("benchmark"), line.pop("split")].append(line)
    asked = Asked(content["world"])
    run = "/".join((*names[:3], f"seed{names[3]}"))
    about = {key: content[key] for key in ("world", "data", "arm", "seed")} | {
        "run": run,
        "method": content["settings"]["method"],
    }
    write_json(
        layout.outcome(*names) / "scores.json",
        [
            {"benchmark": name, "split": split, **about, **_score(asked, content["benchmarks"][name], records)}
            for (name, split), records in sorted(predictions.items())
        ],
        indent=None,
    )


def _score(asked: Asked, benchmark: Slice, records: list) -> Slice:
    return score(FORMS[benchmark["form"]], records, train_examples=asked.examples(benchmark, "train"))


if __name__ == "__main__":
    run_stage(main, about=__doc__)
