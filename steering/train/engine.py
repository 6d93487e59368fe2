"""What turns batches into an update: here on one process with plain torch, in `zero` through DeepSpeed.

An engine knows neither data nor steps to come. Its state is the trainable weights and AdamW's moments of each, whole
and under their own names, so that a run can be resumed by any engine on any number of processes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from steering.data.collate import Batch
from steering.model.composed import ComposedModel
from steering.train.optimiser import Recipe, build_optimiser, set_rates, trainable

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class State:
    """weights: by parameter name; moments: "<parameter>/<name of AdamW's state>". On the CPU, in full."""

    weights: Tensors = field(default_factory=dict)
    moments: Tensors = field(default_factory=dict)


class Engine(Protocol):
    """Gradients of any number of batches, then one update with them."""

    model: ComposedModel
    forgets: bool
    """Whether gradients gathered so far can be forgotten, so that a step can be tried again."""

    def backward(self, batch: Batch, *, supervised: float, last: bool) -> Tensor:
        """Add the gradient of *batch*'s part in a mean over *supervised* tokens; returns that part of the loss.

        last: of the step's batches, after which comes the update.
        """

    def update(self, step: int) -> tuple[float, float]:
        """Clip and apply the gradients at the rates of *step*; the gradient's norm before, and the method's rate."""

    def abandon(self) -> None:
        """Forget the gradients gathered so far."""

    def state(self) -> State:
        """What a resumed run needs; every process must ask, and every process gets it."""

    def restore(self, state: State) -> None: ...

    def close(self) -> None: ...


class TorchEngine:
    """One process, its own AdamW."""

    forgets = True

    def __init__(self, model: ComposedModel, recipe: Recipe):
        self.model, self.recipe = model, recipe
        self.optimiser, self._curve = build_optimiser(model, recipe)

    def backward(self, batch: Batch, *, supervised: float, last: bool) -> Tensor:
        loss, tokens = self.model(batch)
        part = loss * (tokens / supervised)
        part.backward()
        return part.detach()

    def update(self, step: int) -> tuple[float, float]:
        rate = set_rates(self.optimiser, self._curve(step))
        norm = float(torch.nn.utils.clip_grad_norm_(trainable(self.model).values(), self.recipe.clip_norm))
        if math.isfinite(norm):
            self.optimiser.step()
        self.abandon()
        return norm, rate

    def abandon(self) -> None:
        self.optimiser.zero_grad(set_to_none=True)

    def state(self) -> State:
        own = trainable(self.model)
        moments = {
            f"{name}/{kind}": value for name, p in own.items() for kind, value in self.optimiser.state[p].items()
        }
        return State(_on_cpu({name: p.detach() for name, p in own.items()}), _on_cpu(moments))

    @torch.no_grad()
    def restore(self, state: State) -> None:
        for name, parameter in trainable(self.model).items():
            parameter.copy_(state.weights[name])
            if held := moments_of(name, state):
                kept = {kind: value if kind == "step" else value.to(parameter.device) for kind, value in held.items()}
                self.optimiser.state[parameter] = kept

    def close(self) -> None:
        pass


def moments_of(parameter: str, state: State) -> Tensors:
    """AdamW's state of *parameter*, by its own names; none for one that never had a gradient."""
    prefix = f"{parameter}/"
    return {name.removeprefix(prefix): value for name, value in state.moments.items() if name.startswith(prefix)}


def _on_cpu(tensors: Tensors) -> Tensors:
    return {name: tensor.to("cpu").contiguous() for name, tensor in tensors.items()}
