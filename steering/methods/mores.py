"""MoReS: a linear edit of chosen visual tokens on the residual stream, as a PEFT method.

    h' = h + R (W h + b - R^T h)    at the selected visual positions of each steered decoder layer

(MoReS paper, Eq. 3-5; untied, h' = h + W_up (W h + b - W_down h).) r (2 D + 1) parameters in each steered layer,
untied r (3 D + 1). Only visual positions are touched; a batch without pictures, and every cached decoding step, runs
the base model's own operations. The authors' code steers text-only prompts at one token, is one visual token short,
sees the first picture only and assumes right padding: here the positions come from the marks of each sample.

Under the paper's placement (the layer's output) the edit of the last layer is dead: nothing reads those
positions, its gradient is exactly 0 (unless a supervised token follows a picture directly). placement="input"
edits what the layer reads and has no dead parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from peft import PeftModel
from peft.utils.peft_types import PeftType
from pydantic import ValidationError
from torch import nn

from steering.arms import PAPER_RATIO, MoresSettings, TokenChoice
from steering.methods.edited import Site
from steering.methods.layers import decoder_sites, mark_board
from steering.methods.peft_registry import add_peft_type, register_method, seeded_peft_model
from steering.methods.selectors import visual_selector
from steering.methods.sight import Sight
from steering.methods.sites import EditConfig, EditTuner

PLACEMENTS = ("output", "input")


@dataclass
class MoReSConfig(EditConfig):
    """rank, token_ratio (0.01: the first 4 and last 5 visual tokens of each picture), layers and placement.

    tokens: {"box": [left, top, right, bottom]}, {"patches": [...]} or {"attended": k} in place of token_ratio.
    """

    kind: ClassVar[PeftType] = add_peft_type("mores")

    rank: int = 1
    token_ratio: float = PAPER_RATIO
    first: int = 4
    last: int = 5
    placement: str = "output"
    tied: bool = True
    tokens: dict[str, Any] | None = None

    def faults(self) -> list[str]:
        allowed = {
            "rank: {}; allowed 1 or more": self.rank >= 1,
            "token_ratio: {}; allowed above 0, up to 1": 0 < self.token_ratio <= 1,
            "first: {}; allowed 0 or more": self.first >= 0,
            "last: {}; allowed 0 or more": self.last >= 0,
            "placement: {}; allowed output, input": self.placement in PLACEMENTS,
        }
        return self._outside(allowed) + self._token_faults() + super().faults()

    def _token_faults(self) -> list[str]:
        try:
            self.choice()
        except ValidationError as error:
            return [f"{'.'.join(('tokens', *map(str, fault['loc'])))}: {fault['msg']}" for fault in error.errors()]
        return []

    def choice(self) -> TokenChoice | None:
        return None if self.tokens is None else TokenChoice(**self.tokens)


class MoReSModel(EditTuner):
    """Edits the scheduled decoder layers of any causal or LLaVA-like model of transformers."""

    title = "MoReS"

    def sites(self, config: MoReSConfig, model: nn.Module) -> list[Site]:
        selector = visual_selector(config.choice(), config.token_ratio, first=config.first, last=config.last)
        visual = (config.rank, Sight(mark_board(model), selector))
        return decoder_sites(config, model, {"visual": visual}, placement=config.placement)


def attach(language_model: nn.Module, settings: MoresSettings, *, seed: int) -> PeftModel:
    """The steered *language_model*, changed in place; the starting values follow from *seed*."""
    tokens = None if settings.tokens is None else settings.tokens.model_dump(mode="json", exclude_none=True)
    options = settings.model_dump(exclude={"method", "tokens"})
    config = MoReSConfig(task_type="CAUSAL_LM", tokens=tokens, **options)
    return seeded_peft_model(language_model, config, seed=seed)


register_method("mores", config_cls=MoReSConfig, model_cls=MoReSModel, prefix=MoReSModel.prefix)
