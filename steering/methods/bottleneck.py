"""The papers' Adapter: a bottleneck in series with the feed-forward linears, as a PEFT method.

    x' = x + U tanh(V x)    V: k x D, U: D x k, no biases, k = `bottleneck`

On the input of the linears that widen (fc1; gate_proj, up_proj) and on the output of the one that narrows (fc2;
down_proj), so that it is always as wide as the model (Houlsby et al. 2019, as the papers configured it).

It starts as the identity exactly: U = 0, V as nn.Linear starts it. Houlsby's near-identity start is meant to keep
the base model's function at first; U = 0 keeps it to the bit, and U learns from the first step and V from the
second, as in LoRA. U and V are float32 whatever the backbone's dtype. An adapter cannot be merged: tanh is not
linear.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from peft import PeftConfig, PeftModel
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from torch import Tensor, nn

from steering.arms import AdapterSettings
from steering.errors import ParamsError, SteeringError
from steering.methods.linears import pattern_of, shape_of
from steering.methods.peft_registry import add_peft_type, register_method, seeded_peft_model

ADAPTER = add_peft_type("adapter")


@dataclass
class AdapterConfig(PeftConfig):
    """bottleneck: the inner width, the same at every feed-forward linear."""

    bottleneck: int = 256
    target_modules: str | None = field(default=None, metadata={"help": "worked out from the model; not to be set"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = ADAPTER
        if self.bottleneck < 1:
            raise ParamsError([f"AdapterConfig.bottleneck: {self.bottleneck}; allowed 1 or more"])


class BottleneckLinear(nn.Module, BaseTunerLayer):
    """A linear with the bottlenecks of the active adapters, each in turn, before it or behind it."""

    adapter_layer_names = ("adapter_down", "adapter_up")

    def __init__(self, base_layer: Any, *, behind: bool):
        super().__init__()
        self.base_layer = base_layer
        self.behind = behind
        self.width: int = base_layer.out_features if behind else base_layer.in_features
        self.adapter_down = nn.ModuleDict()
        self.adapter_up = nn.ModuleDict()
        self.strength = 1.0  # steering.methods.strength sets it

    def add(self, name: str, bottleneck: int) -> None:
        """A new bottleneck that changes nothing yet."""
        down = nn.Linear(self.width, bottleneck, bias=False, dtype=torch.float32)
        up = nn.Linear(bottleneck, self.width, bias=False, dtype=torch.float32)
        nn.init.zeros_(up.weight)
        # Adapters that PEFT builds empty, to be filled from a file, stay on the meta device until then.
        device = up.weight.device if up.weight.is_meta else next(self.base_layer.parameters()).device
        self.adapter_down[name], self.adapter_up[name] = down.to(device), up.to(device)

    def forward(self, states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(..., in) to (..., out)."""
        if self.disable_adapters:
            return self.base_layer(states, *args, **kwargs)
        if self.behind:
            return self._bent(self.base_layer(states, *args, **kwargs))
        return self.base_layer(self._bent(states), *args, **kwargs)

    def _bent(self, states: Tensor) -> Tensor:
        for name in self.active_adapters:
            if name in self.adapter_down:
                low = torch.tanh(self.adapter_down[name](states.float()))  # (..., k)
                bend = self.adapter_up[name](low)  # (..., in or out)
                states = (states + (bend if self.strength == 1 else self.strength * bend)).to(states.dtype)
        return states

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        refuse_merge()


def refuse_merge() -> None:
    raise SteeringError("adapter: cannot be merged, tanh is not linear; allowed unload() or disable_adapter()")


class AdapterModel(BaseTuner):
    """Wraps the feed-forward linears of a causal or LLaVA-like model of transformers."""

    prefix = "adapter_"
    tuner_layer_cls = BottleneckLinear

    def _prepare_adapter_config(self, peft_config: Any, model_config: dict) -> Any:
        return peft_config

    def _prepare_model(self, peft_config: Any, model: nn.Module) -> None:
        names = shape_of(model).parts.feed_forward
        self._narrowing = names[-1]
        peft_config.target_modules = pattern_of(model, names)

    def _create_and_replace(
        self,
        peft_config: Any,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        fresh = not isinstance(target, BottleneckLinear)
        layer: Any = BottleneckLinear(target, behind=target_name == self._narrowing) if fresh else target
        layer.add(adapter_name, peft_config.bottleneck)
        layer.set_requires_grad(adapter_name, adapter_name in self.active_adapters)
        setattr(parent, target_name, layer)

    def _replace_module(self, parent: nn.Module, child_name: str, new_module: nn.Module, child: nn.Module) -> None:
        setattr(parent, child_name, new_module)

    def _check_merge_allowed(self) -> None:
        refuse_merge()


def attach(language_model: nn.Module, settings: AdapterSettings, *, seed: int) -> PeftModel:
    """*language_model* with a bottleneck at each feed-forward linear, changed in place; V follows from *seed*."""
    config = AdapterConfig(task_type="CAUSAL_LM", bottleneck=settings.bottleneck)
    return seeded_peft_model(language_model, config, seed=seed)


register_method("adapter", config_cls=AdapterConfig, model_cls=AdapterModel, prefix=AdapterModel.prefix)
