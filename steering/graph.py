"""Who reads whom: for each job its output, the jobs whose outputs it reads, and the inputs its manifest may name.

The rules of workflow/ say the same to Snakemake; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from steering import layout
from steering.plan import Plan, Run

Words = dict[str, Any]
Job = tuple[str, Words]
"""A rule and its wildcards."""

OUTPUTS: dict[str, Callable[..., Path]] = {
    "fetch": lambda source: layout.download(source),
    "language_model": lambda name: layout.language_model(name),
    "vision_encoder": lambda name: layout.vision_encoder(name),
    "dataset": lambda world, dataset: layout.dataset(world, dataset),
    "check": lambda world, dataset: layout.check(world, dataset),
    "features": lambda world, dataset: layout.features(world, dataset),
    "mixture": lambda world, data: layout.mixture(world, data),
    "connector": lambda world, seed: layout.connector(world, seed),
    "tune": lambda **run: layout.run(**run),
    "predict_part": lambda **run: layout.prediction_part(**run),
    "predict": lambda **run: layout.outcome(**run) / "predictions",
    "judge": lambda **run: layout.outcome(**run) / "verdicts.json",
    "score": lambda **run: layout.outcome(**run) / "scores.json",
    "attention": lambda **run: layout.outcome(**run) / "attention",
    "analysis": lambda **words: layout.analysis(**words),
    "overhead": lambda experiment: layout.overhead(experiment),
    "report": lambda experiment: layout.experiment(experiment) / "report.html",
    "track": lambda experiment: layout.experiment(experiment) / "tracked.json",
}
"""In the order in which they run; a folder with a manifest, or a single file without."""

SINGLE_FILES = {"check", "features", "mixture", "judge", "score", "overhead", "report", "track"}
OF_A_MODEL = ("connector", "tune", "predict_part", "predict", "attention", "analysis")
OF_A_RUN = ("tune", "predict_part", "predict", "attention", "analysis", "overhead")
RUN_RULES = ("tune", "predict", "judge", "score", "attention")
REPORTED = ("score", "attention")


def words_of(run: Run) -> Words:
    return {"world": run.world, "data": run.data, "arm": run.arm, "seed": run.seed}


def _run_of(words: Words) -> Words:
    """The words of the run that a job asks."""
    return {name: word for name, word in words.items() if name not in ("part", "analysis")}


class Graph:
    """The jobs of a plan and what each of them reads."""

    def __init__(self, plan: Plan):
        self.plan = plan

    def run_rules(self, world: str, data: str) -> list[str]:
        """The rules of a run; attention where it is asked what that is measured on, judge where there is one to ask."""
        taken = {"attention": self.plan.attended(world, data), "judge": bool(self.plan.judged(world, data))}
        return [rule for rule in RUN_RULES if taken.get(rule, True)]

    def jobs(self, experiment: str) -> list[Job]:
        """Every job an experiment rests on, once, in the order in which rules run; none where it has no data yet."""
        wanted = bool(self.plan.experiment(experiment).data)
        return self.rests_on("track", {"experiment": experiment}) if wanted else []

    def rests_on(self, rule: str, words: Words) -> list[Job]:
        """A job and every job it rests on, once, in the order in which rules run."""
        found: dict[tuple, Job] = {}

        def visit(rule: str, words: Words) -> None:
            if (key := (rule, *words.values())) not in found:
                found[key] = (rule, words)
                for above in self.above(rule, words):
                    visit(*above)

        visit(rule, words)
        return sorted(found.values(), key=lambda job: list(OUTPUTS).index(job[0]))

    def above(self, rule: str, words: Words) -> Iterator[Job]:
        """The jobs whose outputs *rule* reads."""
        if rule in ("language_model", "vision_encoder"):
            yield from (("fetch", {"source": source}) for source in self._source(rule, words["name"]))
        elif rule == "report":
            for run in self.plan.runs(words["experiment"]):
                yield from ((made, words_of(run)) for made in self.run_rules(run.world, run.data) if made in REPORTED)
            yield from (("score", words_of(start)) for _, start in self.plan.starts(words["experiment"]))
            yield from self._analyses_above(words["experiment"])
        elif rule == "overhead":
            for run in self.plan.overhead_runs(words["experiment"]):
                yield from self._model_above(rule, words_of(run))
        elif rule == "track":
            yield "report", words
        elif rule == "judge":
            yield "predict", words
        elif rule != "fetch":
            yield from self._data_above(rule, words)

    def _analyses_above(self, experiment: str) -> Iterator[Job]:
        for name in self.plan.analyses(experiment):
            yield from (("analysis", {**words_of(run), "analysis": name}) for run in self.plan.runs(experiment))
        if self.plan.overhead_runs(experiment):
            yield "overhead", {"experiment": experiment}

    def _data_above(self, rule: str, words: Words) -> Iterator[Job]:
        name = words["world"]
        world = self.plan.world(name)
        if rule == "dataset":
            yield from (("fetch", {"source": source}) for source in world.datasets[words["dataset"]].sources)
        elif rule == "check":
            yield "dataset", words
        elif rule == "features":
            yield "dataset", words
            yield "check", words
            yield "vision_encoder", {"name": world.vision_encoder}
        elif rule == "mixture":
            for dataset in self.plan.mixture_datasets(name, words["data"]):
                yield from ((made, {"world": name, "dataset": dataset}) for made in ("dataset", "check"))
        else:
            yield from self._model_above(rule, words)

    def _model_above(self, rule: str, words: Words) -> Iterator[Job]:
        name = words["world"]
        if rule == "predict" and (parts := self.plan.parts(name)):
            yield from (("predict_part", {**words, "part": part}) for part in parts)
            return
        world = self.plan.world(name)
        if rule != "score":
            yield "language_model", {"name": world.language_model}
        for dataset in self._data_of(rule, words):
            kinds = ("dataset", "check", "features") if world.features == "once" else ("dataset", "check")
            yield from ((made, {"world": name, "dataset": dataset}) for made in kinds)
        if rule == "connector" and world.features == "live":
            yield "vision_encoder", {"name": world.vision_encoder}
        if rule in ("tune", "analysis"):
            yield "mixture", {"world": name, "data": words["data"]}
        start = self.plan.start(name, words["data"], words["seed"]) if rule in OF_A_RUN else None
        if start:
            yield "tune", words_of(start)
        elif rule == "tune":
            yield "connector", {"world": name, "seed": self.plan.pretrain_seed(name, words["seed"])}
        if rule in ("predict_part", "predict", "attention", "analysis", "overhead"):
            yield "tune", _run_of(words)
        if rule in ("score", "attention", "analysis", "overhead"):
            yield "predict", _run_of(words)
        if rule == "score" and self.plan.judged(name, words["data"]):
            yield "judge", words

    def _data_of(self, rule: str, words: Words) -> list[str]:
        """The data sets that a job of a model reads."""
        world = self.plan.world(words["world"])
        if rule == "connector":
            return [world.pretrain.dataset] if world.pretrain else []
        asked = self.plan.asked_datasets(words["world"])
        trained = self.plan.mixture_datasets(words["world"], words["data"])
        return {"tune": trained, "analysis": sorted({*trained, *asked})}.get(rule, asked)

    def inputs(self, rule: str, words: Words) -> dict[str, Path]:
        """The inputs that the manifest of a job may name, and where they lie."""
        if rule in ("language_model", "vision_encoder"):
            sources = self._source(rule, words["name"])
            return {"source": layout.download(sources[0])} if sources else {}
        if rule == "dataset":
            sources = self.plan.world(words["world"]).datasets[words["dataset"]].sources
            return {name: layout.download(name) for name in sources}
        if rule == "predict" and (parts := self.plan.parts(words["world"])):
            return {f"part_{part}": layout.prediction_part(**words, part=part) for part in parts}
        return self._model_inputs(rule, words) if rule in OF_A_MODEL else {}

    def _model_inputs(self, rule: str, words: Words) -> dict[str, Path]:
        name, world = words["world"], self.plan.world(words["world"])
        encoder = layout.vision_encoder(world.vision_encoder)
        common = {"base": layout.language_model(world.language_model), "vision": encoder, "encoder": encoder}
        common |= {f"features_{dataset}": layout.features(name, dataset) for dataset in world.datasets}
        common |= {dataset: layout.dataset(name, dataset) for dataset in world.datasets}
        common |= {f"check_{dataset}": layout.check(name, dataset) for dataset in world.datasets}
        if rule == "connector" and world.pretrain:
            dataset = world.pretrain.dataset
            captions = {"captions": layout.dataset(name, dataset), "check": layout.check(name, dataset)}
            return common | captions | {"features": layout.features(name, dataset)}
        if rule == "tune":
            mixture = layout.mixture(name, words["data"])
            start = self._start_of(words)
            connector = start.get("start", layout.connector(name, self.plan.pretrain_seed(name, words["seed"])))
            return common | start | {"conversations": mixture, "connector": connector}
        if rule == "analysis":
            common |= {"conversations": layout.mixture(name, words["data"])}
        if rule in ("attention", "analysis"):
            common |= {"answers": layout.outcome(**_run_of(words)) / "predictions"}
        return common | self._start_of(words) | {"run": layout.run(**_run_of(words))}

    def _start_of(self, words: Words) -> dict[str, Path]:
        start = self.plan.start(words["world"], words["data"], words["seed"])
        return {"start": layout.run(**words_of(start))} if start else {}

    def _source(self, rule: str, name: str) -> list[str]:
        source = getattr(self.plan.params, f"{rule}s")[name].source
        return [source] if source else []
