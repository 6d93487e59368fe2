"""Show an experiment to MLflow: its runs with steps, scores, data and weights, its report; twice changes nothing."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from steering import layout
from steering.analyse.figures import arm_colours
from steering.evaluate.results import RunResults, read_results
from steering.job import Slice, run_stage
from steering.manifest import read_json, write_json
from steering.tracking import RunRecord, upload, upload_table
from steering.tracking.provenance import data_inputs, recorded, weights_of

TABLES = ("report.html", "table.csv", "table.md")
KEPT = ("scores.json", "attention/attention.json", "card.md")
LOCK = layout.STORE / "tracking.lock"


def main(content: Slice) -> None:
    uri = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{layout.DATABASE}")
    name, experiment = content["name"], content["experiment"]
    results = read_results(content["runs"], split=experiment["split"])
    folder, colours = layout.experiment(name), arm_colours(experiment["arms"])
    with _alone():
        told = {r.name: upload(_record(r, colours), tracking_uri=uri, experiment=name) for r in results}
        parent = upload_table(_files(folder), tracking_uri=uri, experiment=name, world=experiment["world"])
    write_json(folder / "tracked.json", {"parent": parent, "runs": told})


@contextmanager
def _alone() -> Iterator[None]:
    """One upload of this project at a time: tables share runs, and two uploads would both make what is missing."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _files(folder: Path) -> list[Path]:
    return [folder / name for name in TABLES if (folder / name).exists()] + sorted(folder.glob("*.png"))


def _record(result: RunResults, colours: Mapping[str, str]) -> RunRecord:
    trained, outcome = result.adapter.parent, layout.outcome(*_names(result))
    kept = [outcome / name for name in KEPT if (outcome / name).exists()] + [
        path for path in sorted(result.adapter.iterdir()) if path.suffix == ".json"
    ]
    return RunRecord(
        result.manifest,
        metrics=result.metrics,
        scores=result.scores,
        unscored=result.unscored,
        attention=result.attention,
        datasets=data_inputs(result.manifest, _asked(result)),
        weights=weights_of(trained, result.manifest),
        recorded=recorded(trained),
        artifacts=[trained / "manifest.json", *kept],
        colour=colours[result.manifest["arm"]],  # the report's
    )


def _asked(result: RunResults) -> Slice:
    """The manifest of a run's predictions; of their first part where they were made in parts: all read the same."""
    together = layout.outcome(*_names(result)) / "predictions" / "manifest.json"
    part = layout.prediction_part(*_names(result), part=1) / "manifest.json"
    found = part if part.exists() else together
    return read_json(found) if found.exists() else {}


def _names(result: RunResults) -> tuple[str, str, str, int]:
    manifest = result.manifest
    return manifest["world"], manifest["data"], manifest["arm"], manifest["seed"]


if __name__ == "__main__":
    run_stage(main, about=__doc__)
