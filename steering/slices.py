"""What every job of a model is told: the parts of params.yaml that slices are put together of, as plain builtins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from steering.params import Benchmark, Experiment, Params, World

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


class Slices:
    """The params, and the parts of slices that several jobs share."""

    def __init__(self, params: Params):
        self.params = params

    def world(self, name: str) -> World:
        return self.params.worlds[name]

    def experiment(self, name: str) -> Experiment:
        return self.params.experiments[name]

    def runs(self, experiment: str) -> list[Run]:
        """The runs an experiment needs; none where its world has no data yet."""
        wanted = self.experiment(experiment)
        told = [(data, arm, seed) for data in wanted.mixtures for arm in wanted.arms for seed in wanted.seeds]
        return [Run(wanted.world, *words) for words in told]

    def mixture_datasets(self, world: str, data: str) -> list[str]:
        """Data sets whose conversations or questions are in the mixture."""
        mixture, benchmarks = self.world(world).mixtures[data], self.world(world).benchmarks
        whole = {mixture.conversations} if mixture.conversations else set()
        return sorted(whole | {benchmarks[name].dataset for name in mixture.shares})

    def recipe(self, world: str, arm: str, data: str) -> Slice:
        """The tuning recipe of *data* with the learning rate of the arm's own method."""
        chosen, method = self.world(world), self.params.arms[arm].method
        changes = chosen.mixtures[data].recipe if data in chosen.mixtures else None
        told = {name: value for name, value in self._dump(changes).items() if value is not None} if changes else {}
        recipe = self._dump(chosen.tune) | told
        rate = recipe.get("method_learning_rates", {}).get(method, recipe["method_learning_rate"])
        return {k: v for k, v in recipe.items() if k != "method_learning_rates"} | {"method_learning_rate": rate}

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
        words = {"world": world, "data": data, "arm": arm, "seed": seed}
        return {**words, "settings": self._dump(self.params.arms[arm]), **self.started(world, data, seed)}

    def start(self, world: str, data: str, seed: int) -> Run | None:
        """The tuned run that a run on *data* starts from; None where that is a pretrained connector."""
        told = self.world(world).mixtures[data].start
        return Run(world, told.data, told.arm, seed) if told else None

    def started(self, world: str, data: str, seed: int) -> Slice:
        """What a run's jobs are told of the run it starts from."""
        start = self.start(world, data, seed)
        return {"start": {"data": start.data, "arm": start.arm, "seed": seed}} if start else {}

    def asked(self, world: str, data: str) -> dict[str, Benchmark]:
        """The benchmarks that runs on *data* are asked, in the order of params.yaml."""
        chosen = self.world(world)
        names = chosen.mixtures[data].asks if data in chosen.mixtures else None
        return {name: told for name, told in chosen.benchmarks.items() if names is None or name in names}

    def _benchmark(self, benchmark: Benchmark) -> Slice:
        return {key: value for key, value in self._dump(benchmark).items() if key not in ("ask", "title")}

    def _benchmarks(self, world: str, data: str) -> Slice:
        return {"benchmarks": {name: self._benchmark(told) for name, told in self.asked(world, data).items()}}

    @staticmethod
    def _dump(part: Any) -> Slice:
        return part.model_dump(mode="json")
