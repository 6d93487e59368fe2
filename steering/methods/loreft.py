"""LoReFT: a linear edit of the first and last text tokens of the prompt on the residual stream, as a PEFT method.

    h' = h + R (W h + b - R^T h)    at the first f and the last l text tokens of each prompt, in each steered layer

(ReFT paper, Eq. 4; the editor of the MoReS and MRT papers.) r (2 D + 1) parameters in each steered layer, twice that
where the two ends share nothing. The released pyreft edits through hooks, which gradient checkpointing loses, and
takes positions counted from the start of right-padded text. Here a prompt's ends are read from the marks: any padding
side, pictures in between, several questions in one sample, and the same tokens with and without the answer.

Unshared, the last layer's edit of the first tokens is dead: nothing reads those positions any more. Unshared, the
first tokens are edited before the last ones where a prompt is so short that they overlap; shared, each token once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from peft import PeftModel
from peft.utils.peft_types import PeftType
from torch import nn

from steering.arms import LoreftSettings
from steering.methods.edited import Site
from steering.methods.layers import decoder_sites, mark_board
from steering.methods.peft_registry import add_peft_type, register_method, seeded_peft_model
from steering.methods.selectors import FirstAndLast
from steering.methods.sight import Sight
from steering.methods.sites import EditConfig, EditTuner


@dataclass
class LoReFTConfig(EditConfig):
    """rank, how many first and last text tokens, layers; shared: one editor serves both ends."""

    kind: ClassVar[PeftType] = add_peft_type("loreft")

    rank: int = 4
    first_tokens: int = 7
    last_tokens: int = 7
    shared: bool = True

    def faults(self) -> list[str]:
        allowed = {
            "rank: {}; allowed 1 or more": self.rank >= 1,
            "first_tokens: {}; allowed 0 or more": self.first_tokens >= 0,
            "last_tokens: {}; allowed 1 or more": self.last_tokens >= 1,
        }
        return self._outside(allowed) + super().faults()


class LoReFTModel(EditTuner):
    """Edits the scheduled decoder layers of any causal or LLaVA-like model of transformers."""

    title = "LoReFT"

    def sites(self, config: LoReFTConfig, model: nn.Module) -> list[Site]:
        ends = {"first": (config.first_tokens, 0), "last": (0, config.last_tokens)}
        if config.shared or not config.first_tokens:
            ends = {"prompt": (config.first_tokens, config.last_tokens)}
        board = mark_board(model)
        sights = {name: (config.rank, Sight(board, FirstAndLast(*counts))) for name, counts in ends.items()}
        return decoder_sites(config, model, sights)


def attach(language_model: nn.Module, settings: LoreftSettings, *, seed: int) -> PeftModel:
    """The edited *language_model*, changed in place; the starting values follow from *seed*."""
    config = LoReFTConfig(task_type="CAUSAL_LM", **settings.model_dump(exclude={"method"}))
    return seeded_peft_model(language_model, config, seed=seed)


register_method("loreft", config_cls=LoReFTConfig, model_cls=LoReFTModel, prefix=LoReFTModel.prefix)
