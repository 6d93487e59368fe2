"""Tables, figures and the offline report of one experiment: writes results/EXPERIMENT/, and a model card of each run.

A slice with `there` is that of an experiment of whose runs only these came through: results/EXPERIMENT/partial/ tells
of them, and of the others that they are missing.
"""

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from statistics import mean

from steering import layout
from steering.analyse.card import card
from steering.analyse.report import ReportInput, render, write_figures
from steering.data.shards import ImageArchive
from steering.evaluate.results import RunResults, labels_of, mixtures, of_start, read_results, run_name, scores_there
from steering.forecast import notes
from steering.job import Slice, run_stage
from steering.manifest import read_json, whole
from steering.metrics_log import read_metrics


def main(content: Slice) -> None:
    partial = layout.partial_report(content["name"])
    shutil.rmtree(partial, ignore_errors=True)
    folder = partial if "there" in content else layout.experiment(content["name"])
    runs = [run for run in content["runs"] if run_name(run) in content.get("there", [run_name(run)])]
    results = read_results(runs, split=content["experiment"]["split"])
    told = report_input(content, results)
    folder.mkdir(parents=True, exist_ok=True)
    write_figures(told, folder)
    gather_figures(folder)
    render(told, folder / "report.html")
    write_cards(content, results)
    print(f"{folder / 'report.html'}")
    print((folder / "table.md").read_text(encoding="utf-8"))


def gather_figures(folder: Path) -> None:
    """Copies of the figures in a folder of their own: of files whose number depends on the results, Snakemake's report
    takes a whole folder only.
    """
    together = folder / layout.figures("").name
    shutil.rmtree(together, ignore_errors=True)
    together.mkdir()
    for picture in sorted(folder.glob("*.png")):
        shutil.copy2(picture, together)


def write_cards(content: Slice, results: Sequence[RunResults]) -> None:
    """A model card beside each run's scores, with those of the control's run of the same data and seed.

    They are no outputs of a rule: experiments share runs, and what a card tells of a control is an experiment's. The
    last report that tells of a run has written its card.
    """
    control = content["experiment"]["control"]
    controls = {(r.manifest["data"], r.manifest["seed"]): r for r in results if r.manifest["arm"] == control}
    for result in results:
        told = result.manifest
        with whole(layout.card(told["world"], told["data"], told["arm"], told["seed"])) as aside:
            aside.write_text(card(content, result, controls.get((told["data"], told["seed"]))), encoding="utf-8")


def report_input(content: Slice, results: list[RunResults]) -> ReportInput:
    experiment, model, labels = content["experiment"], content["model"], labels_of(content)
    results, analyses = [result.labelled(labels) for result in results], experiment.get("analyses", ())
    encoder, language_model = model["vision_encoder"], model["language_model"]
    return ReportInput(
        experiment=content["name"],
        title=experiment["title"],
        description=experiment["question"],
        world={
            "name": experiment["world"],
            "language_model": language_model["name"],
            "vision_encoder": encoder["name"],
            "visual_tokens": encoder["tokens"],
            "connector": model["connector"],
            "dtype": language_model["dtype"],
            "data": ", ".join(mixtures(content)),
        },
        arms=experiment["arms"],
        seeds=experiment["seeds"],
        benchmarks=list(dict.fromkeys(labels.values())),
        scores=[score for result in results for score in result.scores],
        starts=[score for data in content.get("starts", ()) for score in start_scores(content, data, labels)],
        unscored=[entry for result in results for entry in result.unscored],
        predictions={result.name: result.predictions for result in results},
        attention=[result.attention for result in results if result.attention],
        manifests=[result.manifest for result in results],
        metrics={result.name: result.metrics for result in results},
        picture=pictures(content, labels),
        sources=[{"name": name, **source} for name, source in content["sources"].items()],
        control=experiment["control"],
        analyses={result.name: _wanted(result.analyses, analyses) for result in results},
        overhead=overhead(content["name"]) if "overhead" in analyses else None,
        depths=content["depths"],
        paper=content.get("paper"),
        notes=[
            *missing_notes(content["runs"], results),
            *connector_notes([result.manifest for result in results]),
            *counting_notes(content["arms"]),
        ],
    )


def start_scores(content: Slice, data: str, labels: Mapping[tuple[str, str], str]) -> list[Slice]:
    """Scores of the tuned runs that those on *data* start from, of those that there are."""
    scores, _ = scores_there(content["starts"][data], split=content["experiment"]["split"])
    return of_start(scores, data, labels)


def _wanted(analyses: Mapping[str, Path], names: Collection[str]) -> dict[str, Path]:
    """Runs are shared: what another experiment had measured of them is not this one's, whichever is made first."""
    return {name: folder for name, folder in analyses.items() if name in names}


def overhead(experiment: str) -> Slice | None:
    """Seconds a question takes with each arm; a report of what came through may have none."""
    path = layout.overhead(experiment)
    return read_json(path) if path.exists() else None


def missing_notes(runs: Sequence[Slice], results: Sequence[RunResults]) -> list[str]:
    """Which of the experiment's runs are not in its numbers."""
    names = {run_name(run) for run in runs} - {result.name for result in results}
    return [f"Not in here, for they did not come through: {', '.join(sorted(names))}."] if names else []


def connector_notes(manifests: Sequence[Slice]) -> list[str]:
    """How far pretraining brought the connectors that arms start from; what an arm adds hangs on that, too."""
    starts = {(told["world"], told["slice"]["pretrain_seed"]) for told in manifests if "slice" in told}
    found = {seed: read_metrics(layout.connector(world, seed) / "metrics.jsonl") for world, seed in sorted(starts)}
    losses = {seed: mean(tail) for seed, lines in found.items() if (tail := _last_tenth(lines))}
    told = ", ".join(f"{loss:.2f} (seed {seed})" for seed, loss in losses.items())
    return [f"Pretraining of the connectors ended at a loss, in the mean of its last tenth, of {told}."] if told else []


def _last_tenth(lines: Sequence[Slice]) -> list[float]:
    losses = [line["loss"] for line in lines if "loss" in line]
    return losses[-max(1, len(losses) // 10) :]


def counting_notes(arms: Slice) -> list[str]:
    """What a reader of the numbers of trainable parameters should know about these arms."""
    told = [
        {"method": a["method"], "dead": a["method"] == "mrt" or a.get("placement") == "output"} for a in arms.values()
    ]
    return notes([{"arms": told}])


def pictures(content: Slice, labels: Mapping[tuple[str, str], str]) -> Callable[[str, str], bytes]:
    """The bytes of a picture of a benchmark, by the name that tables or an analysis have for the benchmark."""
    world, benchmarks = content["experiment"]["world"], content["benchmarks"]
    datasets = content.get("analysed", {}) | {label: benchmarks[name]["dataset"] for (_, name), label in labels.items()}
    archives = {name: ImageArchive(layout.dataset(world, dataset)) for name, dataset in datasets.items()}
    return lambda benchmark, image: archives[benchmark].read(image)


if __name__ == "__main__":
    run_stage(main, about=__doc__)
