"""Methods that change the language model's weights or what its linears compute, and the control that changes nothing.

Counts are closed forms over the linears of one decoder layer; each docstring gives its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from steering.arms.base import Settings, listed, rank_faults
from steering.arms.shape import LanguageShape, VisionShape
from steering.errors import nearest


class NoneSettings(Settings):
    """The control: the connector alone is trained, the language model stays as it is."""

    method: Literal["none"] = "none"


class FullSettings(Settings):
    """Every weight of the language model is trained, in float32 whatever the base model's dtype."""

    method: Literal["full"] = "full"

    def sites(self, language: LanguageShape, vision: VisionShape) -> dict[str, int]:
        return {"language_model": language.parameters}


class LoraSettings(Settings):
    """LoRA on every linear but lm_head (the papers' choice), or on the named projections."""

    method: Literal["lora"] = "lora"
    rank: int = Field(default=128, ge=1)
    alpha: float = Field(default=256, gt=0)
    dropout: float = Field(default=0.05, ge=0, lt=1)
    targets: Literal["all-linear"] | list[str] = "all-linear"

    def sites(self, language: LanguageShape, vision: VisionShape) -> dict[str, int]:
        """layers x rank x the sum over targets of (inputs + outputs)."""
        names = language.linears if self.targets == "all-linear" else self.targets
        return {"linears": language.layers * self.rank * sum(sum(language.linears[name]) for name in names)}

    def faults(self, language: LanguageShape, vision: VisionShape) -> list[str]:
        targets = [] if self.targets == "all-linear" else target_faults(self.targets, language, also="all-linear or ")
        return rank_faults(self.rank, language.hidden) + targets


class AdapterSettings(Settings):
    """Houlsby bottleneck in series with the feed-forward linears: x + up(tanh(down(x))), no biases, as wide as x.

    On the input of the linears that widen (fc1; gate_proj, up_proj), on the output of the one that narrows
    (fc2; down_proj), so always as wide as the model.
    """

    method: Literal["adapter"] = "adapter"
    bottleneck: int = Field(default=256, ge=1)

    def sites(self, language: LanguageShape, vision: VisionShape) -> dict[str, int]:
        """layers x feed-forward linears x 2 x bottleneck x hidden."""
        per_layer = len(language.parts.feed_forward) * 2 * self.bottleneck * language.hidden
        return {"feed_forward": language.layers * per_layer}


class OftSettings(Settings):
    """OFT: the inputs of q, k and v are rotated by `blocks` orthogonal blocks.

    PEFT stores the skew-symmetric half of a block, k (k - 1) / 2 numbers for a block of size k; the papers count
    the full block, k^2, as early PEFT releases stored it. Both describe the same rotations.
    """

    method: Literal["oft"] = "oft"
    blocks: int = Field(default=16, ge=1)
    targets: list[str] | None = None

    def sites(self, language: LanguageShape, vision: VisionShape) -> dict[str, int]:
        """layers x targets x blocks x k (k - 1) / 2."""
        return {"linears": self._blocks(language, lambda size: size * (size - 1) // 2)}

    def papers_count(self, language: LanguageShape, vision: VisionShape) -> int:
        """layers x targets x blocks x k^2."""
        return self._blocks(language, lambda size: size * size)

    def names(self, language: LanguageShape) -> Sequence[str]:
        return self.targets or language.parts.attention[:3]

    def _blocks(self, language: LanguageShape, weigh) -> int:
        sizes = [language.linears[name][0] // self.blocks for name in self.names(language)]
        return language.layers * self.blocks * sum(weigh(size) for size in sizes)

    def faults(self, language: LanguageShape, vision: VisionShape) -> list[str]:
        if faults := target_faults(self.names(language), language):
            return faults
        widths = sorted({language.linears[name][0] for name in self.names(language)})
        uneven = [width for width in widths if width % self.blocks or width == self.blocks]
        return [f"blocks: {self.blocks} does not divide {width} into blocks; allowed a divisor" for width in uneven]


class Ia3Settings(Settings):
    """IA3: the outputs of k and v and the input of the last feed-forward linear are scaled, one number a channel."""

    method: Literal["ia3"] = "ia3"

    def sites(self, language: LanguageShape, vision: VisionShape) -> dict[str, int]:
        """layers x (outputs of k + outputs of v + inputs of the last feed-forward linear)."""
        _, key, value, _ = language.parts.attention
        widths = language.linears[key][1] + language.linears[value][1] + language.ffn
        return {"channels": language.layers * widths}


def target_faults(targets: Sequence[str], language: LanguageShape, *, also: str = "") -> list[str]:
    """What is wrong with the names of linears in *targets*."""
    allowed = f"allowed {also}some of {listed(list(language.linears))}"
    if not targets:
        return [f"targets: empty; {allowed}"]
    unknown = [name for name in targets if name not in language.linears]
    repeated = sorted({name for name in targets if list(targets).count(name) > 1})
    faults = [f"targets: {name} is unknown; {allowed}{nearest(name, language.linears)}" for name in unknown]
    return faults + [f"targets: {name} more than once; allowed once each" for name in repeated]
