"""From params.yaml to jobs; the only place that enumerates.

A job is named by its rule and wildcards and has a slice: the part of params.yaml it may read, as plain builtins,
with the files it reads. The slice's digest names the job's state in the run store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from steering import layout, papers
from steering.manifest import digest, write_json
from steering.measured import Measured
from steering.params import PLAIN_ENGINE, Benchmark, Engine, Experiment, MethodName, Mixture, World
from steering.slices import Run, Slice

OF_ITS_RUNS = ("start", "unseen", "recipe", "asks")
"""What a mixture says of the runs that are tuned on it, not of its conversations."""

LOGITS = "float32"
"""The dtype of the logits among which an answer's words are chosen. In the slice, so that answers chosen among those of
bfloat16 are made anew.
"""


class Plan(Measured):
    """What the params ask for: slices per job, runs per experiment."""

    def runnable(self) -> list[str]:
        """Experiments whose world has data; the others can be sized only."""
        return [name for name, wanted in self.params.experiments.items() if wanted.data]

    def arms_of(self, world: str) -> list[str]:
        """The arms that experiments run in a world, each once."""
        wanted = [told for told in self.params.experiments.values() if told.data and told.world == world]
        starts = [start.arm for told in wanted for data in told.mixtures if (start := self.start(world, data, 0))]
        return list(dict.fromkeys([arm for told in wanted for arm in told.arms] + starts))

    def mixtures_of(self, world: str) -> list[str]:
        """The mixtures that experiments tune on in a world, and those that these start from, each once."""
        wanted = [name for told in self.params.experiments.values() if told.world == world for name in told.mixtures]
        starts = [start.data for name in wanted if (start := self.start(world, name, 0))]
        return list(dict.fromkeys([*wanted, *starts]))

    def datasets_of(self, world: str) -> list[str]:
        """Data sets in the order of params.yaml."""
        return list(self.world(world).datasets)

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
        told = {key: value for key, value in self._dump(mixture).items() if key not in OF_ITS_RUNS}
        seen = {"seen": self._seen(world, data)} if mixture.unseen else {}
        return {"world": world, "name": data, "mixture": told, "benchmarks": benchmarks, **seen}

    def _seen(self, world: str, data: str) -> Slice:
        """What the start of runs on *data* was tuned on, of the data sets that *data* draws from."""
        start = self.start(world, data, 0)
        assert start  # an unseen mixture has one
        told, datasets = self.mixture(world, start.data), self.mixture_datasets(world, data)
        shared = {name: one for name, one in told["benchmarks"].items() if one["dataset"] in datasets}
        shares = {name: told["mixture"]["shares"][name] for name in shared}
        return {"mixture": told["mixture"] | {"shares": shares}, "benchmarks": shared}

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
            "recipe": self.recipe(world, arm, data),
            "datasets": self.mixture_datasets(world, data),
            "pretrain_seed": self.pretrain_seed(world, seed),
            **self.started(world, data, seed),
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

    def predict(self, world: str, data: str, arm: str, seed: int) -> Slice:
        asked = {
            name: self._benchmark(b) | ({"ask": self._dump(b.ask)} if b.ask else {})
            for name, b in self.asked(world, data).items()
        }
        return {
            **self._run(world, data, arm, seed),
            **self.model(world),
            "benchmarks": asked,
            "splits": self._splits(world),
            "logits": LOGITS,
            **({"parts": parts} if (parts := self.world(world).predict_parts) > 1 else {}),
        }

    def judged(self, world: str, data: str) -> list[str]:
        """The benchmarks asked of runs on *data* whose answers the world's judge has a prompt for."""
        chosen = self.world(world)
        prompts = set(self.params.judges[chosen.judge].prompts) if chosen.judge else set()
        return [name for name, benchmark in self.asked(world, data).items() if benchmark.form in prompts]

    def judge(self, world: str, data: str, arm: str, seed: int) -> Slice:
        """Of a world that has a judge, what it is asked about which benchmarks; the prompts are theirs."""
        chosen = self.world(world)
        told = self._dump(self.params.judges[str(chosen.judge)])
        forms = {name: chosen.benchmarks[name].form for name in self.judged(world, data)}
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
        judged = {"judged": names} if (names := self.judged(world, data)) else {}
        return {**self._run(world, data, arm, seed), **self._benchmarks(world, data), **judged}

    def submit(self, world: str, data: str, arm: str, seed: int) -> Slice:
        return {**self._run(world, data, arm, seed), **self._benchmarks(world, data)}

    def report(self, experiment: str) -> Slice:
        wanted = self.experiment(experiment)
        world = self.world(wanted.world)
        sources = {
            name: self._dump(source) for name, source in self.params.sources.items() if name in self._sources(world)
        }
        return {
            "name": experiment,
            "experiment": self._dump(wanted),
            "benchmarks": {name: self._dump(b) for name, b in self._shown(wanted).items()},
            "arms": {arm: self._dump(self.params.arms[arm]) for arm in wanted.arms},
            "model": self.model(wanted.world),
            "depths": self._depths(world),
            "sources": sources,
            "runs": [run.__dict__ for run in self.runs(experiment)],
            **({"starts": starts} if (starts := self._starts_by_data(experiment)) else {}),
            **({"asked": self._asked_by_data(wanted)} if len(wanted.mixtures) > 1 else {}),
            **({"analysed": analysed} if (analysed := self.analysed(experiment)) else {}),
            **({"paper": self.beside_paper(experiment)} if wanted.paper else {}),
        }

    def starts(self, experiment: str) -> list[tuple[str, Run]]:
        """The tuned runs that an experiment's start from, each with the mixture of those; none that is a connector."""
        wanted = self.experiment(experiment)
        pairs = ((data, self.start(wanted.world, data, seed)) for data in wanted.mixtures for seed in wanted.seeds)
        return [(data, start) for data, start in pairs if start]

    def _starts_by_data(self, experiment: str) -> dict[str, list[Slice]]:
        found: dict[str, list[Slice]] = {}
        for data, start in self.starts(experiment):
            found.setdefault(data, []).append(start.__dict__)
        return found

    def beside_paper(self, experiment: str) -> Slice:
        """The printed table an experiment stands beside: which of ours beside what of it, and what makes ours ours."""
        wanted = self.experiment(experiment)
        assert wanted.paper
        world, table, model = self.world(wanted.world), wanted.paper.table, wanted.paper.model
        encoder = self.params.vision_encoders[world.vision_encoder]
        return {
            "table": table,
            "model": model,
            "rows": papers.beside(wanted.paper.arms, wanted.arms, papers.rows(table, model)),
            "columns": papers.beside(wanted.paper.benchmarks, world.benchmarks, papers.benchmarks(table, model)),
            "benchmarks": {
                name: {"builder": world.datasets[b.dataset].builder, **self._dump(b)}
                for name, b in world.benchmarks.items()
            },
            "world": {"name": wanted.world, "language_model": world.language_model}
            | {"vision_encoder": world.vision_encoder, "visual_tokens": encoder.tokens},
            "training": [self._training(wanted.world, data, wanted.arms[0]) for data in wanted.mixtures],
            "seeds": wanted.seeds,
        }

    def _training(self, world: str, data: str, arm: str) -> Slice:
        """What runs on *data* are trained on, for how long, and from which tuned run they start, if from one."""
        told, mixture = self.recipe(world, arm, data), self.world(world).mixtures[data]
        unseen = {"unseen": True} if mixture.unseen else {}
        start = {"start": self._dump(mixture.start) | unseen} if mixture.start else {}
        return {"data": data, "steps": told["steps"], "conversations": told["conversations"], **start}

    def _shown(self, wanted: Experiment) -> dict[str, Benchmark]:
        """What any run of an experiment is asked and its tables show, in the order of params.yaml."""
        asked = set().union(*(self.asked(wanted.world, data) for data in wanted.mixtures))
        shown = asked & set(wanted.benchmarks or asked)
        return {name: told for name, told in self.world(wanted.world).benchmarks.items() if name in shown}

    def _asked_by_data(self, wanted: Experiment) -> dict[str, list[str]]:
        shown = self._shown(wanted)
        return {data: [name for name in self.asked(wanted.world, data) if name in shown] for data in wanted.mixtures}

    def _depths(self, world: World) -> dict[str, int]:
        """How many layers there are to choose among, by the setting of an arm that chooses."""
        language = self.params.language_models[world.language_model].shape
        vision = self.params.vision_encoders[world.vision_encoder].shape
        return {"layers": language.layers, "vision_layers": len(vision.layers[1:-1])}

    def track(self, experiment: str) -> Slice:
        return self.report(experiment)

    def _splits(self, world: str) -> list[str]:
        return sorted({e.split for e in self.params.experiments.values() if e.world == world})

    def _sources(self, world: World) -> set[str]:
        used = {source for dataset in world.datasets.values() for source in dataset.sources}
        told = [self.params.language_models[world.language_model].source]
        told += [self.params.vision_encoders[name].source for name in self.encoder_parts(world.vision_encoder)]
        return used | {source for source in told if source}


def slice_file(rule: str, content: Slice) -> str:
    """The path of the file that holds *content*, named by its digest and written when it is not there yet."""
    path = layout.SLICES / rule / f"{digest(content)}.json"
    if not path.exists():
        write_json(path, content)
    return str(path)


def outcomes(runs: list[Run], file: str) -> Iterator[Path]:
    for run in runs:
        yield layout.outcome(run.world, run.data, run.arm, run.seed) / file
