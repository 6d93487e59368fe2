"""Methods that edit hidden states: MoReS, MRT and LoReFT, presets of one editor at chosen sites and tokens.

One editor of rank r on states of width D has r (2 D + 1) parameters: R and W of D x r, and b of r. Untied, the
papers' W_down is a third matrix of its own: r (3 D + 1).
"""

from __future__ import annotations

from math import floor
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from steering.arms.base import Settings, rank_faults
from steering.arms.schedules import Layers, layer_faults, steered_layers
from steering.arms.shape import LanguageShape, VisionShape

PAPER_RATIO = 0.01
"""The papers' "1 %": not a share but the first 4 and the last 5 visual tokens of each picture."""

Fraction = Annotated[float, Field(ge=0, le=1)]


def editor_size(rank: int, width: int, *, tied: bool = True) -> int:
    return rank * ((2 if tied else 3) * width + 1)


class TokenChoice(BaseModel):
    """Visual tokens chosen otherwise than by their share, for control experiments; exactly one of the three.

    box: left, top, right, bottom as fractions of the picture; the patches whose centres it covers.
    patches: numbers in the order of the picture's visual tokens.
    attended: the k visual tokens of each picture to which the base model's prompt attends most.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    box: list[Fraction] | None = Field(default=None, min_length=4, max_length=4)
    patches: list[Annotated[int, Field(ge=0)]] | None = Field(default=None, min_length=1)
    attended: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _one(self) -> TokenChoice:
        given = [name for name in ("box", "patches", "attended") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"{' and '.join(given) or 'nothing'} given; allowed one of box, patches, attended")
        if self.box and not (self.box[0] < self.box[2] and self.box[1] < self.box[3]):
            raise ValueError(f"box {self.box} is empty; allowed left < right and top < bottom")
        return self

    def faults(self, tokens: int) -> list[str]:
        """What is wrong for a picture of *tokens* visual tokens."""
        if self.box and floor(tokens**0.5) ** 2 != tokens:
            return [f"tokens.box: {tokens} visual tokens are no square grid; allowed patches or attended"]
        outside = [patch for patch in self.patches or () if patch >= tokens]
        faults = [f"tokens.patches: {patch} outside the picture; allowed 0..{tokens - 1}" for patch in outside]
        if self.attended and self.attended > tokens:
            faults.append(f"tokens.attended: {self.attended} is above the visual tokens; allowed 1..{tokens}")
        return faults


class MoresSettings(Settings):
    """MoReS: a rank-r linear edit of chosen visual tokens on the residual stream of chosen layers.

    placement: "output" is the paper's; "input" edits what a layer reads, so that no edit is dead.
    tied: W_up = R and W_down = R^T, orthonormal; untied, both train freely from that start.
    """

    method: Literal["mores"] = "mores"
    rank: int = Field(default=1, ge=1)
    token_ratio: float = Field(default=PAPER_RATIO, gt=0, le=1)
    tokens: TokenChoice | None = None
    layers: Layers = "all"
    placement: Literal["output", "input"] = "output"
    tied: bool = True
    identity_start: bool = False
    dropout: float = Field(default=0.0, ge=0, lt=1)

    def per_layer(self, language: LanguageShape) -> int:
        return editor_size(self.rank, language.hidden, tied=self.tied)

    def sites(self, language: LanguageShape, vision: VisionShape) -> dict[str, int]:
        """r (2 D + 1) in each steered layer; untied r (3 D + 1)."""
        return {"visual": len(steered_layers(self.layers, language.layers)) * self.per_layer(language)}

    def dead(self, language: LanguageShape, vision: VisionShape) -> int:
        """Under the paper's placement the last layer's edit: nothing attends to its output at visual positions."""
        edits_last = language.layers - 1 in steered_layers(self.layers, language.layers)
        return self.per_layer(language) if self.placement == "output" and edits_last else 0

    def faults(self, language: LanguageShape, vision: VisionShape) -> list[str]:
        chosen = self.tokens.faults(vision.tokens) if self.tokens else self._ratio_faults(vision.tokens)
        return rank_faults(self.rank, language.hidden) + chosen + layer_faults(self.layers, language.layers)

    def _ratio_faults(self, visual_tokens: int) -> list[str]:
        if self.token_ratio == PAPER_RATIO or floor(self.token_ratio * visual_tokens + 1e-9) >= 1:
            return []
        allowed = f"allowed {1 / visual_tokens:.4g}..1, or {PAPER_RATIO} for the first 4 and last 5"
        return [f"token_ratio: {self.token_ratio} selects nothing of {visual_tokens} visual tokens; {allowed}"]


class MrtSettings(Settings):
    """MRT: edits inside the vision encoder, behind the connector, and on the prompt's first and last text tokens.

    A rank of 0 switches a site off. Vision: the output of every encoder layer but the first and the last, all its
    tokens; vision_layers chooses among these, of which 0 is the encoder's second layer. Connector: all visual tokens.
    Prefix: the first text tokens after the picture. Suffix: the last tokens of the prompt, in training and evaluation
    alike.
    """

    method: Literal["mrt"] = "mrt"
    vision_rank: int = Field(default=6, ge=0)
    connector_rank: int = Field(default=6, ge=0)
    prefix_rank: int = Field(default=4, ge=0)
    suffix_rank: int = Field(default=4, ge=0)
    prefix_tokens: int = Field(default=6, ge=1)
    suffix_tokens: int = Field(default=6, ge=1)
    layers: Layers = "all"
    vision_layers: Layers = Field("all", exclude_if=lambda layers: layers == "all")
    identity_start: bool = False
    dropout: float = Field(default=0.0, ge=0, lt=1)

    def sites(self, language: LanguageShape, vision: VisionShape) -> dict[str, int]:
        """One editor in each edited encoder layer, one behind the connector, two in each decoder layer."""
        layers = len(steered_layers(self.layers, language.layers))
        sizes = {
            "vision": sum(editor_size(self.vision_rank, width) for width in self.edited_widths(vision)),
            "connector": editor_size(self.connector_rank, language.hidden),
            "prefix": layers * editor_size(self.prefix_rank, language.hidden),
            "suffix": layers * editor_size(self.suffix_rank, language.hidden),
        }
        return {site: size for site, size in sizes.items() if size}

    def edited_widths(self, vision: VisionShape) -> list[int]:
        """The width of each encoder layer that is edited."""
        inner = vision.layers[1:-1]
        if not inner or not self.vision_rank:
            return []
        return [inner[at] for at in steered_layers(self.vision_layers, len(inner), key="vision_layers")]

    def dead(self, language: LanguageShape, vision: VisionShape) -> int:
        """The last layer's prefix edit: nothing reads those positions any more."""
        edits_last = language.layers - 1 in steered_layers(self.layers, language.layers)
        return editor_size(self.prefix_rank, language.hidden) if edits_last else 0

    def faults(self, language: LanguageShape, vision: VisionShape) -> list[str]:
        ranks = ("vision_rank", "connector_rank", "prefix_rank", "suffix_rank")
        inside = vision.layers[1:-1]
        faults = [] if any(getattr(self, rank) for rank in ranks) else [f"{', '.join(ranks)}: all 0; allowed one above"]
        if self.vision_rank and not inside:
            faults.append("vision_rank: the encoder has no layer between its first and last; allowed 0")
        elif self.vision_rank:
            faults += layer_faults(self.vision_layers, len(inside), key="vision_layers")
        faults += rank_faults(self.vision_rank, min(inside, default=self.vision_rank), key=ranks[0], of="layer's width")
        faults += [fault for key in ranks[1:] for fault in rank_faults(getattr(self, key), language.hidden, key=key)]
        return faults + layer_faults(self.layers, language.layers)


class LoreftSettings(Settings):
    """LoReFT: the first and the last text tokens of the prompt, on the residual stream of chosen layers.

    shared: one editor serves both ends; else each has its own.
    """

    method: Literal["loreft"] = "loreft"
    rank: int = Field(default=4, ge=1)
    first_tokens: int = Field(default=7, ge=0)
    last_tokens: int = Field(default=7, ge=1)
    layers: Layers = "all"
    shared: bool = True
    identity_start: bool = False
    dropout: float = Field(default=0.0, ge=0, lt=1)

    def sites(self, language: LanguageShape, vision: VisionShape) -> dict[str, int]:
        """r (2 D + 1) in each steered layer, twice where the two ends share nothing."""
        ends = 1 if self.shared or not self.first_tokens else 2
        layers = len(steered_layers(self.layers, language.layers))
        return {"prompt": ends * layers * editor_size(self.rank, language.hidden)}

    def dead(self, language: LanguageShape, vision: VisionShape) -> int:
        """Unshared, the last layer's edit of the first tokens."""
        edits_last = language.layers - 1 in steered_layers(self.layers, language.layers)
        own = not self.shared and self.first_tokens > 0 and edits_last
        return editor_size(self.rank, language.hidden) if own else 0

    def faults(self, language: LanguageShape, vision: VisionShape) -> list[str]:
        return rank_faults(self.rank, language.hidden) + layer_faults(self.layers, language.layers)
