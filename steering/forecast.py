"""What an experiment will take: per arm its sizes, its cost in device-hours and bytes, and what is done of it already.

Scoring and measuring attention take minutes and are left out of the hours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from steering.cost import activation_bytes, peak_memory_bytes, state_bytes, step_flops
from steering.hours import ASSUMED, Clock
from steering.params import Recipe
from steering.plan import Plan, Run
from steering.sizing import FLOAT, Scene, adapter_bytes
from steering.standing import STATES, Standing, State

ASSUMPTIONS = ASSUMED | {
    "memory": "of one process: its conversations of a pass, its part of what DeepSpeed partitions",
    "positions": "conversations x (visual tokens behind the connector + text_tokens of the world)",
    "disk": "adapter and connector, twice: the delivered copy and the run store's",
}

SOURCES = ("measured", "scaled", "assumed")
"""Of hours, the most reliable first."""

SIZED = "none"
"""The data of what is sized only: its runs are as long as its world's recipe says, and are asked everything."""


class Forecast:
    """Sizes, costs and standing of the experiments of *plan*."""

    def __init__(self, plan: Plan, standing: Standing):
        self.plan, self.standing, self.clock = plan, standing, Clock(plan)

    def experiment(self, name: str) -> dict[str, Any]:
        """Plain builtins, ready for JSON; `jobs` is empty where there is no data yet."""
        wanted = self.plan.experiment(name)
        return {
            "experiment": name,
            "title": wanted.title,
            "world": wanted.world,
            "data": wanted.data,
            "seeds": wanted.seeds,
            "device": "gpu" if self.plan.world(wanted.world).gpus else "cpu thread",
            "jobs": self.standing.jobs(name),
            "arms": with_ratios([self.arm(name, arm) for arm in wanted.arms]),
        }

    def arm(self, experiment: str, arm: str) -> dict[str, Any]:
        wanted = self.plan.experiment(experiment)
        scenes = {data: self.scene(wanted.world, arm, data) for data in wanted.mixtures or [SIZED]}
        first = next(iter(scenes.values()))
        runs = [run for run in self.plan.runs(experiment) if run.arm == arm]
        return {
            "world": wanted.world,
            "experiment": experiment,
            "arm": arm,
            **sizes(first),
            **self._hours(wanted.world, arm, scenes, runs, seeds=len(wanted.seeds)),
            "disk_bytes": len(wanted.seeds) * len(scenes) * _disk(first),
            **self._standing(runs),
        }

    def scene(self, world: str, arm: str, data: str) -> Scene:
        recipe = Recipe.model_validate(self.plan.recipe(world, arm, data), strict=True)
        return Scene.of(self.plan.params, self.plan.world(world), self.plan.params.arms[arm], recipe)

    def _standing(self, runs: Sequence[Run]) -> dict[str, Any]:
        jobs = {run.name: self.standing.run(run) for run in runs}
        overall = [worst(states) for states in jobs.values()]
        return {"runs": len(runs), **{state: overall.count(state) for state in STATES}, "jobs": jobs}

    def _hours(
        self, world: str, arm: str, scenes: Mapping[str, Scene], runs: Sequence[Run], *, seeds: int
    ) -> dict[str, Any]:
        """Device-hours of all data and seeds, and of those that are yet to be trained or to answer."""
        told = {data: self.clock.tune_seconds(world, data, arm, scene) for data, scene in scenes.items()}
        tune = {data: seconds for data, (seconds, _) in told.items()}
        source = max((source for _, source in told.values()), key=SOURCES.index)
        predict = {data: self.clock.predict_seconds(world, data, arm, scene) for data, scene in scenes.items()}
        waiting = [(run.data, self.standing.run(run)) for run in runs]
        left = sum(tune[data] for data, jobs in waiting if jobs["tune"] != "done")
        left += sum(predict[data] for data, jobs in waiting if jobs["predict"] != "done")
        own = [job for data in scenes for job in self.clock.own(world, data, arm, "tune")]
        tuned, asked = seeds * sum(tune.values()), seeds * sum(predict.values())
        return {
            "hours": (tuned + asked) / 3600,
            "hours_left": left / 3600 if runs else None,
            "tune_hours": tuned / 3600,
            "predict_hours": asked / 3600,
            "hours_from": source,
            "measured_peak_memory_bytes": max((job.peak_memory_bytes for job in own), default=None),
        }


def sizes(scene: Scene) -> dict[str, Any]:
    """Everything about an arm that follows from its settings and its world alone."""
    language, vision, settings = scene.model.shape, scene.encoder.shape, scene.settings
    return {
        "method": scene.method,
        "trainable_llm": scene.trainable,
        "trainable_connector": scene.trainable_connector,
        "trainable_encoder": scene.trainable_encoder,
        "trainable_all": scene.trainable_all,
        "papers_count": settings.papers_count(language, vision),
        "dead": settings.dead(language, vision),
        "sites": settings.sites(language, vision),
        "adapter_bytes": adapter_bytes(settings, language, vision, dtype=scene.model.dtype),
        "steps": scene.recipe.steps,
        "processes": scene.engine.processes,
        "conversations_at_once": scene.at_once,
        "positions": scene.positions,
        "step_flops": step_flops(scene),
        "state_bytes": state_bytes(scene),
        "activation_bytes": activation_bytes(scene),
        "peak_memory_bytes": peak_memory_bytes(scene),
    }


def with_ratios(arms: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many times fewer parameters than LoRA and than full each arm trains, without and with the connector."""
    for reference in ("lora", "full"):
        base = next((arm for arm in arms if arm["method"] == reference), None)
        for arm in arms if base else []:
            assert base
            arm[f"fewer_than_{reference}"] = _ratio(base["papers_count"], arm["papers_count"])
            arm[f"fewer_than_{reference}_with_connector"] = _ratio(base["trainable_all"], arm["trainable_all"])
    return arms


def _ratio(above: int, below: int) -> float | None:
    return above / below if below else None


def worst(states: Mapping[str, State]) -> State:
    """Of a run, from its jobs: done where all are, stale where one is, else missing."""
    found = set(states.values())
    return "stale" if "stale" in found else "missing" if "missing" in found else "done"


def _disk(scene: Scene) -> int:
    weights = adapter_bytes(scene.settings, scene.model.shape, scene.encoder.shape, dtype=scene.model.dtype)
    return 2 * (weights + FLOAT * (scene.connector.parameters + scene.trainable_encoder))


TRAINABLE = (
    "Trainable (TP) is the method's own count, the papers' convention; the connector is trained too unless frozen."
)
OFT = (
    "OFT: PEFT stores the skew-symmetric half of each block, k (k - 1) / 2 numbers; the papers count whole blocks, "
    "k^2, as early PEFT did. Both describe the same rotations; ratios without connector use the papers' count."
)
RANK_8 = "MoReS: rank 8 at 3B is 32 x 8 x (2 x 2,560 + 1) = 1,310,976; the paper's 1.340M is a misprint."
DEAD = (
    "Dead: parameters without a gradient, since no later layer reads the positions that the last layer's output edit "
    "changes. That is the papers' placement; `placement: input` has none."
)


def notes(experiments: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a reader of the counts should know, where it concerns one of these arms."""
    arms = [arm for told in experiments for arm in told["arms"]]
    methods = {arm["method"] for arm in arms}
    texts = {TRAINABLE: True, OFT: "oft" in methods, RANK_8: "mores" in methods, DEAD: any(a["dead"] for a in arms)}
    return [text for text, holds in texts.items() if holds]
