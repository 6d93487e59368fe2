"""One training run, connector pretraining or tuning alike: conversations, order, recipe, resume, log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from steering.assemble import Samples
from steering.data.collate import Batch, collate
from steering.data.conversations import Conversation
from steering.errors import DataError
from steering.metrics_log import MetricsLog
from steering.model.composed import ComposedModel
from steering.train.checkpoint import CheckpointStore
from steering.train.loop import fit
from steering.train.optimiser import Recipe, release, trainable
from steering.train.order import Order


def train(
    model: ComposedModel,
    conversations: Sequence[Conversation],
    samples: Samples,
    *,
    recipe: Mapping[str, Any],
    seed: int,
    state: Path,
    log: Path,
) -> int:
    """Train *model*, a method attached, in place on *conversations*; returns the step it resumed from (0: afresh).

    What *recipe* trains beside the method is made trainable here; where that leaves nothing to train, there is no
    step. Resume checkpoints go to *state*/checkpoints, step metrics to *log*. Raises DataError for too few
    conversations.
    """
    settings = {key: value for key, value in recipe.items() if key != "method_learning_rates"}
    store = CheckpointStore(state / "checkpoints", every=settings.pop("checkpoint_every"))
    plan = Recipe(**settings)
    if len(conversations) < plan.conversations:
        raise DataError(
            f"{len(conversations)} conversations; a step needs {plan.conversations}: draw more, or ask for fewer"
        )
    release(plan, model)
    if not trainable(model):
        MetricsLog(log, resume_step=0).close()
        return 0
    order = Order(len(conversations), plan.conversations, seed=seed)

    def batch_at(step: int) -> Batch:
        chosen = [conversations[index] for index in order.batch(step)]
        return collate(
            [samples.sample(c.image, c.turns) for c in chosen],
            independent=plan.independent_turns,
        )

    return fit(
        model,
        plan,
        batch_at=batch_at,
        open_log=lambda step: MetricsLog(log, resume_step=step),
        store=store,
        seed=seed,
    )
