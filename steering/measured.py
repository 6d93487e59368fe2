"""The slices of what is measured of trained runs beside their scores: LMAR, and the analyses that a world describes."""

from __future__ import annotations

from steering.params import OF_A_RUN
from steering.slices import Run, Slice, Slices

ATTENTION_VERSION = 2
"""Of what attention.json tells; raised where that changes, so that it is measured again."""


class Measured(Slices):
    """What is measured of runs, and of which."""

    def attention(self, world: str, data: str, arm: str, seed: int) -> Slice:
        wanted = self._attention(world)
        benchmark = self._benchmark(self.world(world).benchmarks[wanted["benchmark"]])
        told = {"form": benchmark, "version": ATTENTION_VERSION}
        return {**self._run(world, data, arm, seed), **self.model(world), **wanted, **told}

    def attended(self, world: str, data: str) -> bool:
        """Whether attention is measured of runs on *data*: where they are asked what it is measured on."""
        wanted = any(told.attention for told in self.params.experiments.values() if told.world == world)
        return wanted and self._attention(world)["benchmark"] in self.asked(world, data)

    def attended_runs(self, experiment: str) -> list[Run]:
        return [run for run in self.runs(experiment) if self.attended(run.world, run.data)]

    def attention_questions(self, world: str) -> int:
        return int(self._attention(world)["questions"])

    def _attention(self, world: str) -> Slice:
        """One measurement per world serves all its experiments: the largest that any of them asks for."""
        wanted = [e.attention for e in self.params.experiments.values() if e.world == world and e.attention]
        largest = max(wanted, key=lambda attention: attention.questions)
        return {"benchmark": largest.benchmark, "questions": largest.questions}

    def analyses(self, experiment: str) -> list[str]:
        """The analyses of each run that an experiment asks for."""
        return [name for name in OF_A_RUN if name in self.experiment(experiment).analyses]

    def analysis(self, world: str, data: str, arm: str, seed: int, analysis: str) -> Slice:
        """An analysis of one run; `recipe` and `datasets` are of its training."""
        run = {**self._run(world, data, arm, seed), **self.model(world), **self._benchmarks(world, data)}
        trained = {"recipe": self.recipe(world, arm, data), "datasets": self.mixture_datasets(world, data)}
        return {**run, **trained, "analysis": analysis, "wanted": self._wanted(world, analysis)}

    def analysed(self, experiment: str) -> dict[str, str]:
        """The benchmarks of an experiment's analyses, shown in its tables or not, and the data set of each."""
        world = self.experiment(experiment).world
        names = [self._wanted(world, name).get("benchmark") for name in self.analyses(experiment)]
        return {name: self.world(world).benchmarks[name].dataset for name in names if name}

    def overhead(self, experiment: str) -> Slice:
        """The arms of an experiment side by side, each by its run of the first seed."""
        wanted = self.experiment(experiment)
        runs = [self._run(run.world, run.data, run.arm, run.seed) for run in self.overhead_runs(experiment)]
        told = {"experiment": experiment, "world": wanted.world, "control": wanted.control, "split": wanted.split}
        return {**told, **self.model(wanted.world), "runs": runs, "wanted": self._wanted(wanted.world, "overhead")}

    def overhead_runs(self, experiment: str) -> list[Run]:
        """The runs whose overhead an experiment measures; none where it does not."""
        wanted = self.experiment(experiment)
        return [r for r in self.runs(experiment) if "overhead" in wanted.analyses and r.seed == wanted.seeds[0]]

    def _wanted(self, world: str, analysis: str) -> Slice:
        return self._dump(getattr(self.world(world).analyses, analysis))
