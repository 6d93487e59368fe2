"""One training run, connector pretraining or tuning alike: checks, order, engine, resume, log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steering.assemble import Samples
from steering.data.conversations import Conversation
from steering.errors import DataError
from steering.methods.sites import decoder_layers
from steering.metrics_log import MetricsLog
from steering.model.composed import ComposedModel
from steering.model.language import backbone_of, base_of
from steering.model.limits import Limits
from steering.train.checkpoint import CheckpointStore
from steering.train.checks import Census, bytes_in, census, require_space, run_bytes
from steering.train.engine import Engine, TorchEngine
from steering.train.feed import Feed
from steering.train.loop import Run, fit
from steering.train.memory import MicroBatch
from steering.train.optimiser import Recipe, release, trainable
from steering.train.order import Order
from steering.train.processes import Processes, join


@dataclass(frozen=True)
class Trained:
    """How a run came about: the step it resumed from, its processes, and [step, conversations at once] per halving."""

    resumed_from: int = 0
    processes: Processes = Processes()
    halvings: list[tuple[int, int]] = field(default_factory=list)

    @property
    def first(self) -> bool:
        """Whether this process is the one that saves."""
        return self.processes.first

    def facts(self) -> dict[str, Any]:
        """For the manifest."""
        told = {"resumed_from": self.resumed_from, "processes": self.processes.count}
        return {**told, "device": self.processes.device.type, "halvings": self.halvings}


def train(
    model: ComposedModel,
    conversations: Sequence[Conversation],
    samples: Samples,
    *,
    recipe: Mapping[str, Any],
    seed: int,
    state: Path,
    log: Path,
    engine: Mapping[str, Any] | None = None,
    run: Mapping[str, str] | None = None,
) -> Trained:
    """Train *model*, a method attached, in place on *conversations*.

    What *recipe* trains beside the method is made trainable here; where that leaves nothing to train, there is no
    step. Resume checkpoints go to *state*/checkpoints under the names of *run*, step metrics to *log*; *engine* says
    how steps are computed (steering.params.Engine). Raises DataError for data that cannot be trained on, SteeringError
    for too small a disk, and what `fit` raises.
    """
    settings = {key: value for key, value in recipe.items() if key != "method_learning_rates"}
    every = settings.pop("checkpoint_every")
    plan, how = Recipe(**settings), dict(engine or {})
    found = _checked(conversations, samples, model, plan)
    release(plan, model)
    if not trainable(model):
        MetricsLog(log, resume_step=0).close()
        return Trained()
    needed = run_bytes(sum(parameter.numel() for parameter in trainable(model).values()))
    require_space(state, needed - bytes_in(state), what="the run with its checkpoints")
    processes = join(grouped=how.get("kind") == "deepspeed")
    model.to(processes.device)
    _switch(model, how)
    micro_batch = MicroBatch(how.get("micro_batch") or plan.conversations, state / "micro_batch.json")
    work = Run(
        engine=_engine(model, plan, how, processes),
        feed=_feed(conversations, samples, plan, how, processes, found, seed=seed),
        micro_batch=micro_batch,
        store=CheckpointStore(state / "checkpoints", every=every, run=run),
        steps=plan.steps,
        seed=seed,
        processes=processes,
    )
    try:
        resumed = fit(work, lambda step: _Silent() if processes.rank else MetricsLog(log, resume_step=step))
    finally:
        _switch_back(model, how)
    work.engine.close()
    return Trained(resumed, processes, micro_batch.halvings)


class _Silent:
    """The log of every process but the first."""

    def log(self, step: int, **values: float) -> None:
        pass

    def flush(self) -> None:
        pass


def _checked(conversations: Sequence[Conversation], samples: Samples, model: ComposedModel, plan: Recipe) -> Census:
    if len(conversations) < plan.conversations:
        raise DataError(
            f"{len(conversations)} conversations; a step needs {plan.conversations}: draw more, or ask for fewer"
        )
    return census(
        conversations,
        samples.scribe,
        places=samples.places,
        limits=Limits.of(model.config),
        independent=plan.independent_turns,
    )


def _switch(model: ComposedModel, how: Mapping[str, Any]) -> None:
    """What changes nothing but time and memory."""
    if how.get("gradient_checkpointing"):
        model.language_model.gradient_checkpointing_enable({"use_reentrant": False})
    if how.get("compile"):
        for layer in decoder_layers(backbone_of(base_of(model.language_model))):
            layer.compile()


def _switch_back(model: ComposedModel, how: Mapping[str, Any]) -> None:
    if how.get("gradient_checkpointing"):
        model.language_model.gradient_checkpointing_disable()


def _engine(model: ComposedModel, plan: Recipe, how: Mapping[str, Any], processes: Processes) -> Engine:
    if how.get("kind") != "deepspeed":
        return TorchEngine(model, plan)
    from steering.train.zero import ZeroEngine

    return ZeroEngine(model, plan, stage=how["zero"], processes=processes)


def _feed(
    conversations: Sequence[Conversation],
    samples: Samples,
    plan: Recipe,
    how: Mapping[str, Any],
    processes: Processes,
    found: Census,
    *,
    seed: int,
) -> Feed:
    grouped = found.lengths if plan.group_by_length else None
    return Feed(
        Order(len(conversations), plan.conversations, seed=seed, lengths=grouped),
        lambda index: samples.sample(conversations[index].image, conversations[index].turns),
        blank=samples.blank(),
        independent=plan.independent_turns,
        lengths=found.lengths,
        processes=processes,
        workers=how.get("workers", 0),
    )
