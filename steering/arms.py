"""The settings of an arm, one class per method, and the number of parameters each trains; free of torch.

An arm of params.yaml is one of these; `method` tells which. The counts are the papers' "TP": trainable
parameters inside the language model, the connector left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from steering.errors import ParamsError, nearest

Schedule = Literal["all", "every_2nd", "every_3rd", "every_4th", "shallow", "middle", "deep"]

STRIDES = {"all": 1, "every_2nd": 2, "every_3rd": 3, "every_4th": 4}
QUARTERS = {"shallow": (0, 2), "middle": (1, 3), "deep": (2, 4)}
"""Half of the layers each, in quarters of the depth: 0-15, 8-23 and 16-31 of the papers' 32."""

PAPER_RATIO = 0.01
"""The papers' "1 %": not a share but the first 4 and the last 5 visual tokens of each picture."""


class LanguageShape(BaseModel):
    """The sizes of a language model that a closed-form parameter count needs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    family: Literal["llama", "phi"]
    hidden: int
    layers: int
    ffn: int
    heads: int
    kv_heads: int
    vocabulary: int

    @property
    def kv_width(self) -> int:
        return self.hidden // self.heads * self.kv_heads

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """Name of each linear of one decoder layer with its (inputs, outputs)."""
        width, ffn = self.hidden, self.ffn
        attention = {"q_proj": (width, width), "k_proj": (width, self.kv_width), "v_proj": (width, self.kv_width)}
        if self.family == "phi":
            return attention | {"dense": (width, width), "fc1": (width, ffn), "fc2": (ffn, width)}
        gated = {"gate_proj": (width, ffn), "up_proj": (width, ffn), "down_proj": (ffn, width)}
        return attention | {"o_proj": (width, width)} | gated


def steered_layers(layers: Schedule | Sequence[int], count: int) -> tuple[int, ...]:
    """The decoder layers, of *count*, that a schedule's name or an explicit list means, in rising order.

    Raises ParamsError where the schedule selects nothing or the list is empty, repeats or leaves 0..count-1.
    """
    if faults := layer_faults(layers, count):
        raise ParamsError(faults)
    return tuple(_named(layers, count)) if isinstance(layers, str) else tuple(sorted(layers))


def layer_faults(layers: Schedule | Sequence[int], count: int) -> list[str]:
    """What is wrong with a layer schedule for a model of *count* layers; empty where nothing is."""
    if isinstance(layers, str):
        return _schedule_faults(layers, count)
    if not layers:
        return [f"layers: empty; allowed 0..{count - 1}, each at most once"]
    outside = sorted({layer for layer in layers if not 0 <= layer < count})
    repeated = sorted({layer for layer in layers if list(layers).count(layer) > 1})
    faults = [f"layers: {_listed(outside)} outside the model; allowed 0..{count - 1}"] if outside else []
    return faults + ([f"layers: {_listed(repeated)} more than once; allowed once each"] if repeated else [])


def _schedule_faults(schedule: str, count: int) -> list[str]:
    known = [*STRIDES, *QUARTERS]
    if schedule not in known:
        return [f"layers: {schedule} is unknown; allowed {', '.join(known)}{nearest(schedule, known)}"]
    return [] if _named(schedule, count) else [f"layers: {schedule} of {count} selects nothing; allowed all"]


def _named(schedule: str, count: int) -> range:
    if schedule in STRIDES:
        return range(0, count, STRIDES[schedule])
    first, last = QUARTERS[schedule]
    return range(count * first // 4, count * last // 4)


def _listed(values: Sequence[object]) -> str:
    return ", ".join(str(value) for value in values)


def _rank_faults(rank: int, shape: LanguageShape) -> list[str]:
    if rank <= shape.hidden:
        return []
    return [f"rank: {rank} is above the hidden size; allowed 1..{shape.hidden}"]


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class NoneSettings(Settings):
    """The control: the connector alone is trained, the language model stays as it is."""

    method: Literal["none"] = "none"

    def trainable(self, shape: LanguageShape) -> int:
        return 0

    def faults(self, shape: LanguageShape, visual_tokens: int) -> list[str]:
        return []


class LoraSettings(Settings):
    """LoRA on every linear but lm_head (the papers' choice), or on the named projections."""

    method: Literal["lora"] = "lora"
    rank: int = Field(default=128, ge=1)
    alpha: float = Field(default=256, gt=0)
    dropout: float = Field(default=0.05, ge=0, lt=1)
    targets: Literal["all-linear"] | list[str] = "all-linear"

    def trainable(self, shape: LanguageShape) -> int:
        """layers x rank x the sum over targets of (inputs + outputs)."""
        names = shape.linears if self.targets == "all-linear" else self.targets
        return shape.layers * self.rank * sum(sum(shape.linears[name]) for name in names)

    def faults(self, shape: LanguageShape, visual_tokens: int) -> list[str]:
        return _rank_faults(self.rank, shape) + self._target_faults(shape)

    def _target_faults(self, shape: LanguageShape) -> list[str]:
        if self.targets == "all-linear":
            return []
        allowed = f"allowed all-linear or some of {_listed(list(shape.linears))}"
        if not self.targets:
            return [f"targets: empty; {allowed}"]
        unknown = [name for name in self.targets if name not in shape.linears]
        repeated = sorted({name for name in self.targets if self.targets.count(name) > 1})
        faults = [f"targets: {name} is unknown; {allowed}{nearest(name, shape.linears)}" for name in unknown]
        return faults + [f"targets: {name} more than once; allowed once each" for name in repeated]


class MoresSettings(Settings):
    """MoReS: a rank-r linear edit of chosen visual tokens on the residual stream of chosen layers."""

    method: Literal["mores"] = "mores"
    rank: int = Field(default=1, ge=1)
    token_ratio: float = Field(default=0.01, gt=0, le=1)
    layers: Schedule | list[int] = "all"
    placement: Literal["output", "input"] = "output"
    identity_start: bool = False
    dropout: float = Field(default=0.0, ge=0, lt=1)

    def trainable(self, shape: LanguageShape) -> int:
        """r (2 D + 1) in each steered layer: R and W of D x r, and b of r."""
        return len(steered_layers(self.layers, shape.layers)) * self.per_layer(shape)

    def per_layer(self, shape: LanguageShape) -> int:
        return self.rank * (2 * shape.hidden + 1)

    def dead(self, shape: LanguageShape) -> int:
        """How many of the trainable parameters never get a gradient, being where no later layer reads.

        Nothing attends to the last layer's output at visual positions, so its edit is dead under the paper's
        placement; `placement: input` has none.
        """
        edits_last = shape.layers - 1 in steered_layers(self.layers, shape.layers)
        return self.per_layer(shape) if self.placement == "output" and edits_last else 0

    def faults(self, shape: LanguageShape, visual_tokens: int) -> list[str]:
        layers = layer_faults(self.layers, shape.layers)
        return _rank_faults(self.rank, shape) + self._ratio_faults(visual_tokens) + layers

    def _ratio_faults(self, visual_tokens: int) -> list[str]:
        if self.token_ratio == PAPER_RATIO or floor(self.token_ratio * visual_tokens + 1e-9) >= 1:
            return []
        allowed = f"allowed {1 / visual_tokens:.4g}..1, or {PAPER_RATIO} for the first 4 and last 5"
        return [f"token_ratio: {self.token_ratio} selects nothing of {visual_tokens} visual tokens; {allowed}"]


Arm = Annotated[NoneSettings | LoraSettings | MoresSettings, Field(discriminator="method")]
