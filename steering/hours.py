"""How long training and answering take: from finished runs where there are some, else from FLOPs and an assumed rate.

The best that is known is taken: manifests of the same arm ("measured"), the rate at which other runs of the same world
went ("scaled"), an assumed sustained rate ("assumed"). Seconds are device-seconds; a device is a GPU, or a CPU thread
where the world has no GPU.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import TypeAdapter

from steering import layout
from steering.arms import Arm
from steering.cost import question_flops, step_flops
from steering.errors import SteeringError
from steering.manifest import digest, read_json
from steering.params import Benchmark, Recipe
from steering.params.worlds import FormName
from steering.plan import Plan
from steering.sizing import Scene

GPU_FLOPS = 0.4 * 312e12
CPU_FLOPS = 250e9 / 2
ASSUMED = {
    "gpu_flops_per_second": GPU_FLOPS,
    "gpu": "40 % of an A100's 312 TFLOP/s (bfloat16)",
    "cpu_thread_flops_per_second": CPU_FLOPS,
    "cpu_thread": "250 GFLOP/s of two threads",
}
PUBLISHED: dict[FormName, int] = {
    "vqav2": 107_394,
    "gqa": 12_578,
    "textvqa": 5_000,
    "textvqa_ocr": 5_000,
    "vizwiz": 4_319,
    "scienceqa": 4_241,
    "scienceqa_llava": 4_241,
    "iconqa": 6_316,
    "iconqa_index": 6_316,
    "coco_pope": 8_910,
    "mmvet": 218,
    "mmmu": 900,
    "hallusion": 1_129,
    "mme": 2_374,
    "hellaswag": 10_042,
    "hellaswag_10_shot": 10_042,
    "mmlu": 14_042,
    "mmlu_likelihood": 14_042,
}
"""Questions of the split that is asked as a rule, for a forecast before the files are there; the larger of two."""


def questions_of(benchmark: Benchmark) -> int:
    """How many questions *benchmark* will ask, as far as is known before its files are there."""
    return benchmark.ask.questions if benchmark.ask else PUBLISHED.get(benchmark.form, 0)


@dataclass(frozen=True)
class Measured:
    """A finished job of a world: its slice, and how long it kept how many devices."""

    kind: str
    content: Mapping[str, Any]
    seconds: float
    devices: int
    peak_memory_bytes: int

    @property
    def device_seconds(self) -> float:
        return self.seconds * self.devices


def measured(world: str, *, gpus: int, threads: int) -> list[Measured]:
    """What the manifests of *world*'s runs tell; a resumed run tells the time of its last part only and is left out."""
    trained = layout.run(world, "*", "*", "*") / "manifest.json"
    answered = layout.outcome(world, "*", "*", "*") / "predictions" / "manifest.json"
    paths = [path for pattern in (trained, answered) for path in sorted(Path().glob(str(pattern)))]
    return [job for path in paths for job in _measured(path, gpus, threads)]


def _measured(path: Path, gpus: int, threads: int) -> Iterator[Measured]:
    try:
        told = read_json(path)
        words = shlex.split(told["command"])
        used = int(words[words.index("--threads") + 1]) if "--threads" in words else threads
        content, seconds, memory = dict(told["slice"]), float(told["runtime_seconds"]), int(told["peak_memory_bytes"])
        if not told.get("resumed_from"):
            yield Measured(told["kind"], content, seconds, gpus or used, memory)
    except (OSError, KeyError, TypeError, ValueError, IndexError):  # no manifest of a job
        return


class Clock:
    """Device-seconds of the jobs of *plan*."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self._measured: dict[str, list[Measured]] = {}

    def tune_seconds(self, world: str, data: str, arm: str, scene: Scene) -> tuple[float, str]:
        if own := self.own(world, data, arm, "tune"):
            return fmean(job.device_seconds for job in own), "measured"
        flops = scene.recipe.steps * step_flops(scene)
        if rate := self._rate(world):
            return flops / rate, "scaled"
        return flops / self._assumed(world), "assumed"

    def predict_seconds(self, world: str, data: str, arm: str, scene: Scene) -> float:
        """As long as this arm's other seeds took, or the world's other arms; else by the FLOPs of reading."""
        found = self.own(world, data, arm, "predict") or self._answered(world, data)
        if found:
            return fmean(job.device_seconds for job in found)
        questions = sum(map(questions_of, self.plan.asked(world, data).values()))
        return questions * question_flops(scene) / self._assumed(world)

    def _assumed(self, world: str) -> float:
        return GPU_FLOPS if self.plan.world(world).gpus else CPU_FLOPS

    def _found(self, world: str) -> list[Measured]:
        if world not in self._measured:
            told = self.plan.world(world)
            self._measured[world] = measured(world, gpus=told.gpus, threads=told.threads)
        return self._measured[world]

    def own(self, world: str, data: str, arm: str, kind: str) -> list[Measured]:
        """Finished jobs of this very arm on this data, whatever their seed."""
        return [job for job in self._found(world) if job.kind == kind and self._is(job, world, data, arm)]

    def _answered(self, world: str, data: str) -> list[Measured]:
        return [job for job in self._found(world) if job.kind == "predict" and job.content["data"] == data]

    def _is(self, job: Measured, world: str, data: str, arm: str) -> bool:
        told = job.content
        try:
            today = getattr(self.plan, job.kind)(world, told["data"], arm, told["seed"])
        except KeyError:  # data that the world no longer has
            return False
        return (told["data"], told["arm"]) == (data, arm) and digest(today) == digest(told)

    def _rate(self, world: str) -> float | None:
        """FLOP/s of a device over all finished training of *world* on today's model."""
        done = [(job.device_seconds, flops) for job in self._found(world) for flops in self._flops(world, job)]
        seconds, flops = sum(second for second, _ in done), sum(flop for _, flop in done)
        return flops / seconds if seconds else None

    def _flops(self, world: str, job: Measured) -> Iterator[float]:
        """What a finished training took, from its own settings and recipe."""
        if job.kind != "tune" or not self._same_model(world, job.content):
            return
        try:
            settings = TypeAdapter(Arm).validate_python(job.content["settings"])
            recipe = Recipe.model_validate(job.content["recipe"])
            yield recipe.steps * step_flops(Scene.of(self.plan.params, self.plan.world(world), settings, recipe))
        except (ValueError, SteeringError):  # settings of another day
            return

    def _same_model(self, world: str, content: Mapping[str, Any]) -> bool:
        today = self.plan.model(world)
        return all(content.get(key) == today[key] for key in ("language_model", "vision_encoder", "connector"))
