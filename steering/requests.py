"""What a job asks a scheduler for: host memory and time, from the plan's estimates, never from what is on the disk.

All jobs of a rule in a world ask alike, as much as the greediest: a SLURM job array has one request for all. Only a
run that takes several devices (`alone`) asks for itself and stays out of arrays. Both are first attempts: a job that
needed more is tried again with twice as much, and a training that ran out of time goes on from its checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from steering.arms import NoneSettings
from steering.cost import peak_memory_bytes, question_flops, step_flops
from steering.hours import CPU_FLOPS, GPU_FLOPS, questions_of
from steering.params import Recipe
from steering.plan import Plan
from steering.sizing import BYTES, Scene

MARGIN = 2
"""What is asked for, over what is estimated."""

START_MINUTES = 15
"""To import, to load a model, to read the data."""

LIBRARIES_MB = {"cpu": 2000, "gpu": 8000}
"""Host memory of a process before it holds a model; CUDA's libraries are the larger."""

MB = 2**20
TRAINING = ("connector", "tune")


class Requests:
    """What the jobs of *plan* ask for.

    A rule is one of connector, tune, predict_part, predict, attention, analysis, overhead.
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        self.memory_mb, self.runtime_minutes = cache(self._memory_mb), cache(self._runtime_minutes)

    def alone(self, world: str, arm: str) -> bool:
        """Whether a run's training takes several devices, so that no array of its rule has room for it."""
        return self.plan.engine(world, self.plan.params.arms[arm].method).processes > 1

    def _memory_mb(self, rule: str, world: str, arm: str | None = None) -> int:
        return max(round(self._held_mb(rule, world, scene)) for scene in self._scenes(rule, world, arm))

    def _runtime_minutes(self, rule: str, world: str, arm: str | None = None) -> int:
        longest = max(self._seconds(rule, world, scene) for scene in self._scenes(rule, world, arm))
        return START_MINUTES + round(MARGIN * longest / 60)

    def _held_mb(self, rule: str, world: str, scene: Scene) -> float:
        """Of all processes of a job on a node; on a GPU's machine the weights, on their way to it."""
        processes = scene.engine.processes // scene.engine.nodes if rule in TRAINING else 1
        if self.plan.world(world).gpus:
            weights = scene.model.shape.parameters * BYTES[scene.model.dtype]
            return processes * (LIBRARIES_MB["gpu"] + weights / MB)
        return processes * (LIBRARIES_MB["cpu"] + MARGIN * peak_memory_bytes(scene) / MB)

    def _seconds(self, rule: str, world: str, scene: Scene) -> float:
        chosen = self.plan.world(world)
        rate = GPU_FLOPS if chosen.gpus else CPU_FLOPS * chosen.threads
        if rule in TRAINING:
            return scene.recipe.steps * step_flops(scene) / (rate * scene.engine.processes)
        return self._asked(rule, world) * question_flops(scene) / rate

    def _asked(self, rule: str, world: str) -> float:
        if rule == "attention":
            return self.plan.attention_questions(world)
        chosen = self.plan.world(world)  # an analysis may take as long as all questions
        parts = chosen.predict_parts if rule == "predict_part" else 1
        return sum(map(questions_of, chosen.benchmarks.values())) / parts

    def _scenes(self, rule: str, world: str, arm: str | None) -> Iterator[Scene]:
        """What is computed by those that ask alike: a run that trains alone, or all others of its world."""
        if rule == "connector":
            yield self._pretraining(world)
            return
        alike = self.plan.arms_of(world)
        if rule in TRAINING:
            alike = [other for other in alike if not self.alone(world, other)]
        for name in [arm] if arm and rule in TRAINING and self.alone(world, arm) else alike:
            for data in self.plan.mixtures_of(world):
                recipe = Recipe.model_validate(self.plan.recipe(world, name, data), strict=True)
                yield Scene.of(self.plan.params, self.plan.world(world), self.plan.params.arms[name], recipe)

    def _pretraining(self, world: str) -> Scene:
        chosen = self.plan.world(world)
        assert chosen.pretrain  # a world with data has it
        control = NoneSettings(method="none")
        scene = Scene.of(self.plan.params, chosen, control, chosen.pretrain.recipe)
        return replace(scene, engine=chosen.pretrain.engine or scene.engine)
