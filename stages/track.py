"""Show an experiment to MLflow: its runs with parameters, steps and scores, its report; twice changes nothing."""

import os

from steering import layout
from steering.evaluate.results import RunResults, read_results
from steering.job import Slice, run_stage
from steering.manifest import write_json
from steering.tracking import RunRecord, upload, upload_table

SHOWN = ("report.html", "table.csv", "table.md", "scores.png", "differences.png", "pareto.png", "lmar.png")


def main(content: Slice) -> None:
    uri = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{layout.DATABASE}")
    name, experiment = content["name"], content["experiment"]
    results = read_results(content["runs"], split=experiment["split"])
    told = {result.name: upload(_record(result), tracking_uri=uri, experiment=name) for result in results}
    folder = layout.experiment(name)
    files = [folder / file for file in SHOWN if (folder / file).exists()]
    parent = upload_table(files, tracking_uri=uri, experiment=name, world=experiment["world"])
    write_json(folder / "tracked.json", {"parent": parent, "runs": told})


def _record(result: RunResults) -> RunRecord:
    artifacts = [path for path in sorted(result.adapter.iterdir()) if path.suffix == ".json"]
    scores, unscored = result.scores, result.unscored
    return RunRecord(result.manifest, metrics=result.metrics, scores=scores, unscored=unscored, artifacts=artifacts)


if __name__ == "__main__":
    run_stage(main, about=__doc__)
