"""From params.yaml to jobs; the only place that enumerates.

A job is named by its rule and wildcards and has a slice: the part of params.yaml it may read, as plain builtins,
with the files it reads. The slice's digest names the job's state in the run store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steering import layout
from steering.manifest import digest, write_json
from steering.params import PLAIN_ENGINE, Benchmark, Engine, Experiment, MethodName, Mixture, Params, World

Slice = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A world's training data, an arm and a seed: trained once, however many experiments need it."""

    world: str
    data: str
    arm: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.world}/{self.data}/{self.arm}/seed{self.seed}"


class Plan:
    """What the params ask for: slices per job, runs per experiment."""

    def __init__(self, params: Params):
        self.params = params

    def world(self, name: str) -> World:
        return self.params.worlds[name]

    def experiment(self, name: str) -> Experiment:
        return self.params.experiments[name]

    def runnable(self) -> list[str]:
        """Experiments whose world has data; the others can be sized only."""
        return [name for name, wanted in self.params.experiments.items() if wanted.data]

    def runs(self, experiment: str) -> list[Run]:
        """The runs an experiment needs; none where its world has no data yet."""
        wanted = self.experiment(experiment)
        if wanted.data is None:
            return []
        return [Run(wanted.world, wanted.data, arm, seed) for arm in wanted.arms for seed in wanted.seeds]

    def arms_of(self, world: str) -> list[str]:
        """The arms that experiments run in a world, each once."""
        wanted = (experiment for experiment in self.params.experiments.values() if experiment.data)
        return list(dict.fromkeys(arm for experiment in wanted if experiment.world == world for arm in experiment.arms))

    def datasets_of(self, world: str) -> list[str]:
        """Data sets in the order of params.yaml."""
        return list(self.world(world).datasets)

    def mixture_datasets(self, world: str, data: str) -> list[str]:
        """Data sets whose conversations or questions are in the mixture."""
        mixture, benchmarks = self.world(world).mixtures[data], self.world(world).benchmarks
        whole = {mixture.conversations} if mixture.conversations else set()
        return sorted(whole | {benchmarks[name].dataset for name in mixture.shares})

    def asked_datasets(self, world: str) -> list[str]:
        """Data sets that benchmarks ask about."""
        return sorted({benchmark.dataset for benchmark in self.world(world).benchmarks.values()})

    # One slice per rule; the argument names are the rule's wildcards.

    def fetch(self, source: str) -> Slice:
        return {"name": source, "source": self._dump(self.params.sources[source])}

    def sources_of(self, worlds: Iterable[str]) -> list[str]:
        """The sources that *worlds* need, or all there are where none is named."""
        needed = set[str]().union(*(self._sources(self.world(name)) for name in worlds))
        return [name for name in self.params.sources if name in needed or not needed]

    def language_model(self, name: str) -> Slice:
        return {"name": name, "model": self._dump(self.params.language_models[name])}

    def vision_encoder(self, name: str) -> Slice:
        return {"name": name, "encoder": self._encoder(name)}

    def dataset(self, world: str, dataset: str) -> Slice:
        told = {k: v for k, v in self._dump(self.world(world).datasets[dataset]).items() if k != "faulty_pictures"}
        return {"world": world, "name": dataset, "dataset": told}

    def check(self, world: str, dataset: str) -> Slice:
        policy = self.world(world).datasets[dataset].faulty_pictures
        return {"world": world, "name": dataset, "faulty_pictures": policy}

    def features(self, world: str, dataset: str) -> Slice:
        encoder = self.world(world).vision_encoder
        return {"world": world, "dataset": dataset, **self.vision_encoder(encoder)}

    def mixture(self, world: str, data: str) -> Slice:
        mixture: Mixture = self.world(world).mixtures[data]
        benchmarks = {name: self._benchmark(self.world(world).benchmarks[name]) for name in mixture.shares}
        return {"world": world, "name": data, "mixture": self._dump(mixture), "benchmarks": benchmarks}

    def connector(self, world: str, seed: int) -> Slice:
        told = self._dump(self.world(world).pretrain)
        pretrain = {key: value for key, value in told.items() if key not in ("engine", "per_seed")} | {"seed": seed}
        engine = self._engine(self.pretrain_engine(world))
        return {"world": world, **self.model(world), "pretrain": pretrain, **engine}

    def pretrain_seed(self, world: str, seed: int) -> int:
        """The seed of the connector that a run with *seed* starts from."""
        pretrain = self.world(world).pretrain
        assert pretrain  # a world with data has it
        return pretrain.seed + seed * pretrain.per_seed

    def tune(self, world: str, data: str, arm: str, seed: int) -> Slice:
        return {
            "world": world,
            "data": data,
            "arm": arm,
            "seed": seed,
            **self.model(world),
            "settings": self._dump(self.params.arms[arm]),
            "recipe": self.recipe(world, arm),
            "datasets": self.mixture_datasets(world, data),
            "pretrain_seed": self.pretrain_seed(world, seed),
            **self._engine(self.engine(world, self.params.arms[arm].method)),
        }

    def engine(self, world: str, method: MethodName) -> Engine:
        """How training steps of *method* are computed."""
        return self.world(world).engine_of(method)

    def devices(self, world: str, arm: str) -> tuple[int, int]:
        """GPUs and CPU threads that a run's training takes, on each of its nodes."""
        chosen, engine = self.world(world), self.engine(world, self.params.arms[arm].method)
        count = engine.processes // engine.nodes
        return (max(count, chosen.gpus) if chosen.gpus else 0), chosen.threads * count

    def nodes(self, world: str, arm: str) -> int:
        """The machines that a run is trained on."""
        return self.engine(world, self.params.arms[arm].method).nodes

    def pretrain_engine(self, world: str) -> Engine:
        pretrain = self.world(world).pretrain
        return (pretrain and pretrain.engine) or self.engine(world, "none")

    def _engine(self, engine: Engine) -> Slice:
        return {} if engine == PLAIN_ENGINE else {"engine": self._dump(engine)}

    def recipe(self, world: str, arm: str) -> Slice:
        """The tuning recipe with the learning rate of the arm's own method."""
        recipe, method = self.world(world).tune, self.params.arms[arm].method
        rate = recipe.method_learning_rates.get(method, recipe.method_learning_rate)
        rest = {k: v for k, v in self._dump(recipe).items() if k != "method_learning_rates"}
        return rest | {"method_learning_rate": rate}

    def predict(self, world: str, data: str, arm: str, seed: int) -> Slice:
        asked = {
            name: self._benchmark(b) | ({"ask": self._dump(b.ask)} if b.ask else {})
            for name, b in self.world(world).benchmarks.items()
        }
        return {
            **self._run(world, data, arm, seed),
            **self.model(world),
            "benchmarks": asked,
            "splits": self._splits(world),
            **({"parts": parts} if (parts := self.world(world).predict_parts) > 1 else {}),
        }

    def judged(self, world: str) -> list[str]:
        """The benchmarks whose answers the world's judge has a prompt for."""
        chosen = self.world(world)
        prompts = set(self.params.judges[chosen.judge].prompts) if chosen.judge else set()
        return [name for name, benchmark in chosen.benchmarks.items() if benchmark.form in prompts]

    def judge(self, world: str, data: str, arm: str, seed: int) -> Slice:
        """Of a world that has a judge, what it is asked about which benchmarks; the prompts are theirs."""
        chosen = self.world(world)
        told = self._dump(self.params.judges[str(chosen.judge)])
        forms = {name: chosen.benchmarks[name].form for name in self.judged(world)}
        prompts = {name: told["prompts"][form] for name, form in forms.items()}
        judge = {**told, "name": chosen.judge, "prompts": prompts}
        return {**self._run(world, data, arm, seed), "judge": judge, "forms": forms}

    def predict_part(self, world: str, data: str, arm: str, seed: int, part: int) -> Slice:
        return self.predict(world, data, arm, seed) | {"part": part}

    def parts(self, world: str) -> list[int]:
        """The parts in which a run is asked, by number; none where it is asked as a whole."""
        count = self.world(world).predict_parts
        return list(range(1, count + 1)) if count > 1 else []

    def score(self, world: str, data: str, arm: str, seed: int) -> Slice:
        benchmarks = {name: self._benchmark(b) for name, b in self.world(world).benchmarks.items()}
        judged = {"judged": names} if (names := self.judged(world)) else {}
        return {**self._run(world, data, arm, seed), "benchmarks": benchmarks, **judged}

    def submit(self, world: str, data: str, arm: str, seed: int) -> Slice:
        benchmarks = {name: self._benchmark(b) for name, b in self.world(world).benchmarks.items()}
        return {**self._run(world, data, arm, seed), "benchmarks": benchmarks}

    def attention(self, world: str, data: str, arm: str, seed: int) -> Slice:
        wanted = self._attention(world)
        benchmark = self._benchmark(self.world(world).benchmarks[wanted["benchmark"]])
        return {**self._run(world, data, arm, seed), **self.model(world), **wanted, "form": benchmark}

    def report(self, experiment: str) -> Slice:
        wanted = self.experiment(experiment)
        world = self.world(wanted.world)
        sources = {
            name: self._dump(source) for name, source in self.params.sources.items() if name in self._sources(world)
        }
        return {
            "name": experiment,
            "experiment": self._dump(wanted),
            "benchmarks": {name: self._dump(b) for name, b in world.benchmarks.items()},
            "arms": {arm: self._dump(self.params.arms[arm]) for arm in wanted.arms},
            "model": self.model(wanted.world),
            "sources": sources,
            "runs": [run.__dict__ for run in self.runs(experiment)],
        }

    def track(self, experiment: str) -> Slice:
        return self.report(experiment)

    def model(self, world: str) -> Slice:
        chosen = self.world(world)
        settings: Slice = {"connector_settings": chosen.connector_settings} if chosen.connector_settings else {}
        settings |= {"features": "live"} if chosen.features == "live" else {}
        return settings | {
            "language_model": self._dump(self.params.language_models[chosen.language_model])
            | {"name": chosen.language_model},
            "vision_encoder": self._encoder(chosen.vision_encoder) | {"name": chosen.vision_encoder},
            "connector": chosen.connector,
            "template": chosen.template,
        }

    def _encoder(self, name: str) -> Slice:
        """An encoder's row; those side by side have their parts' rows, with names, in place of the names."""
        row = self._dump(self.params.vision_encoders[name])
        parts = [self._encoder(part) | {"name": part} for part in row.get("parts", ())]
        return row | {"parts": parts} if parts else row

    def encoder_parts(self, name: str) -> list[str]:
        """The encoder itself, or the encoders that stand side by side in it."""
        return self.params.vision_encoders[name].parts or [name]

    def live(self, world: str, arm: str) -> bool:
        """Whether a run needs pictures and the vision encoder itself, not the features it gave once."""
        chosen = self.world(world)
        if chosen.features == "live":
            return True
        return bool(getattr(self.params.arms[arm], "vision_rank", 0) or chosen.tune.encoder_layers)

    def _run(self, world: str, data: str, arm: str, seed: int) -> Slice:
        return {"world": world, "data": data, "arm": arm, "seed": seed, "settings": self._dump(self.params.arms[arm])}

    def _splits(self, world: str) -> list[str]:
        return sorted({e.split for e in self.params.experiments.values() if e.world == world})

    def attention_questions(self, world: str) -> int:
        return int(self._attention(world)["questions"])

    def _attention(self, world: str) -> Slice:
        """One measurement per world serves all its experiments: the largest that any of them asks for."""
        wanted = [e.attention for e in self.params.experiments.values() if e.world == world and e.attention]
        largest = max(wanted, key=lambda attention: attention.questions)
        return {"benchmark": largest.benchmark, "questions": largest.questions}

    def _sources(self, world: World) -> set[str]:
        used = {source for dataset in world.datasets.values() for source in dataset.sources}
        told = [self.params.language_models[world.language_model].source]
        told += [self.params.vision_encoders[name].source for name in self.encoder_parts(world.vision_encoder)]
        return used | {source for source in told if source}

    def _benchmark(self, benchmark: Benchmark) -> Slice:
        return {key: value for key, value in self._dump(benchmark).items() if key not in ("ask", "title")}

    @staticmethod
    def _dump(part: Any) -> Slice:
        return part.model_dump(mode="json")


def slice_file(rule: str, content: Slice) -> str:
    """The path of the file that holds *content*, named by its digest and written when it is not there yet."""
    path = layout.SLICES / rule / f"{digest(content)}.json"
    if not path.exists():
        write_json(path, content)
    return str(path)


def outcomes(runs: list[Run], file: str) -> Iterator[Path]:
    for run in runs:
        yield layout.outcome(run.world, run.data, run.arm, run.seed) / file
