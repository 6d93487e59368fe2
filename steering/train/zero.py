"""Training through DeepSpeed: data parallel over processes, with ZeRO stages 0 to 3 partitioning what is trained.

    stage 0: nothing    1: AdamW's moments    2: and gradients    3: and the weights, the frozen base's too

DeepSpeed is told nothing of precision: the frozen base keeps its dtype and what is trained is float32, as without it,
so the stages give the same losses up to the order of sums. Its checkpoints are not used (they are read by pickle, and
hold one file a process); the state is gathered whole, through its documented access to partitioned tensors.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from steering.data.collate import Batch
from steering.errors import SteeringError
from steering.model.composed import ComposedModel
from steering.train.engine import State, TorchEngine, moments_of
from steering.train.optimiser import Recipe, set_rates, trainable
from steering.train.processes import Processes

MOMENTS = ("exp_avg", "exp_avg_sq")


class ZeroEngine(TorchEngine):
    """One of several processes (or one alone), at a ZeRO *stage*."""

    forgets = False

    def __init__(self, model: ComposedModel, recipe: Recipe, *, stage: int, processes: Processes):
        super().__init__(model, recipe)
        self.stage, self.processes = stage, processes
        self._names = list(trainable(model))  # ZeRO-3 keeps the names, but not the shapes
        self._engine = _initialise(model, self.optimiser, _config(stage, recipe, processes), processes)

    def backward(self, batch: Batch, *, supervised: float, last: bool) -> Tensor:
        self._engine.set_gradient_accumulation_boundary(last)
        loss, tokens = self._engine(batch)
        part = loss * (tokens / supervised)
        self._engine.backward(part * self.processes.count, scale_wrt_gas=False)  # it takes the mean over processes
        return part.detach()

    def update(self, step: int) -> tuple[float, float]:
        rate = set_rates(self.optimiser, self._curve(step))
        if self.stage == 0:
            gradients = [p.grad for p in trainable(self.model).values() if p.grad is not None]
            norm = torch.nn.utils.get_total_norm(gradients)
            self._engine.step()
        else:
            self._engine.step()
            norm = self._engine.get_global_grad_norm()
        return float(norm), rate

    def abandon(self) -> None:
        raise SteeringError("DeepSpeed cannot take gradients back; the run has to start again from its checkpoint")

    def state(self) -> State:
        if self.stage == 0:
            return super().state()
        from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

        own = trainable(self.model)
        weights = {name: _whole(safe_get_full_fp32_param(p)) for name, p in own.items()}
        steps = self._steps_taken()
        if steps is None:
            return State(weights)
        self._link()
        moments = {f"{name}/step": steps.clone() for name in own}
        for kind in MOMENTS:
            moments |= {f"{name}/{kind}": _whole(safe_get_full_optimizer_state(p, kind)) for name, p in own.items()}
        return State(weights, moments)

    def _steps_taken(self) -> Tensor | None:
        held = [state["step"] for state in self.optimiser.state.values() if "step" in state]
        return held[0].detach().cpu() if held else None

    @torch.no_grad()
    def restore(self, state: State) -> None:
        if self.stage == 0:
            super().restore(state)
            return
        from deepspeed import zero

        own = trainable(self.model)
        if state.moments:
            self._make_moments(next(value for name, value in state.moments.items() if name.endswith("/step")))
        for name, parameter in own.items():
            with zero.GatheredParameters([parameter], modifier_rank=0, enabled=self.stage == 3):
                parameter.copy_(state.weights[name])
            self._put(parameter, state.weights[name], None)
            for kind in MOMENTS:
                if (value := moments_of(name, state).get(kind)) is not None:
                    self._put(parameter, value, kind)

    def _make_moments(self, steps: Tensor) -> None:
        """AdamW makes its moments in its first step; a resumed run needs them before, to be filled."""
        wrapper = self._engine.optimizer
        flats = wrapper.fp32_partitioned_groups_flat if self.stage == 3 else wrapper.single_partition_of_fp32_groups
        for flat in flats:
            moments = {kind: torch.zeros_like(flat) for kind in MOMENTS}
            self.optimiser.state[flat] = {"step": steps.clone(), **moments}
        self._link()

    def _link(self) -> None:
        """Connect every parameter with its moments; DeepSpeed does so after the first group's first step alone."""
        if self.stage < 3:
            self._engine.optimizer._hp_optimizer_states_linked = False
            self._engine.optimizer._lazy_init_hp_params_optimizer_state()

    def _put(self, parameter: Tensor, value: Tensor, kind: str | None) -> None:
        """Lay *value* into this process's part of the float32 weight (kind None) or of a moment."""
        from deepspeed.utils import safe_set_full_fp32_param, safe_set_full_optimizer_state

        value = value.to(self.processes.device)
        if self.stage == 3:
            self._put_part(parameter, value, kind)
        elif kind is None:
            safe_set_full_fp32_param(parameter, value)
        else:
            safe_set_full_optimizer_state(parameter, value, kind)

    def _put_part(self, parameter: Tensor, value: Tensor, kind: str | None) -> None:
        """The part is cut here: DeepSpeed's own setter of whole values reads past the end of one it has padded."""
        from deepspeed.utils import (
            safe_get_local_fp32_param,
            safe_set_local_fp32_param,
            safe_set_local_optimizer_state,
        )

        size = safe_get_local_fp32_param(parameter).numel()
        padded = functional.pad(value.flatten(), (0, size * self.processes.count - value.numel()))
        own = padded[self.processes.rank * size : (self.processes.rank + 1) * size]
        if kind is None:
            safe_set_local_fp32_param(parameter, own)
        else:
            safe_set_local_optimizer_state(parameter, own, kind)

    def close(self) -> None:
        """Leave the model whole, as it came, without DeepSpeed; what was frozen stays in parts at stage 3."""
        weights = self.state().weights
        self._engine.destroy()
        for name, parameter in trainable(self.model).items():
            parameter.data = weights[name].to(self.processes.device)


def _whole(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu").clone()


def _config(stage: int, recipe: Recipe, processes: Processes) -> dict[str, Any]:
    on_gpu = processes.device.type == "cuda"
    return {
        "train_micro_batch_size_per_gpu": 1,  # only DeepSpeed's own clocks read it: passes are cut by the feed
        "gradient_accumulation_steps": 1,
        "gradient_clipping": recipe.clip_norm,
        "zero_optimization": {"stage": stage, "overlap_comm": on_gpu, "contiguous_gradients": on_gpu},
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 2**31,
    }


def _initialise(model: ComposedModel, optimiser: Any, config: dict[str, Any], processes: Processes) -> Any:
    if processes.device.type == "cpu":
        os.environ["DS_ACCELERATOR"] = "cpu"
    import deepspeed
    from deepspeed.ops import __compatible_ops__
    from deepspeed.utils import logger

    logger.setLevel("WARNING")
    __compatible_ops__["deepspeed_shm_comm"] = False  # or a minute goes into compiling it, for CPU processes alone
    with _numbered():
        engine, *_ = deepspeed.initialize(model=model, optimizer=optimiser, config=config, dist_init_required=False)
    return engine


@contextmanager
def _numbered() -> Iterator[None]:
    """DeepSpeed reads its process's number from the environment, where a process alone has none; nor has it after."""
    alone = "LOCAL_RANK" not in os.environ
    os.environ.setdefault("LOCAL_RANK", "0")
    try:
        yield
    finally:
        if alone:
            del os.environ["LOCAL_RANK"]
