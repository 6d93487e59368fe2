"""MRT: edits inside the vision encoder, behind the connector and on the prompt's ends, as a PEFT method.

    h' = h + R (W h + b - R^T h)
        vision      output of every encoder layer but the first and the last, all tokens (class token included);
                    vision_layers chooses among these
        connector   output of the connector, all visual tokens
        prefix      output of each scheduled decoder layer, the first text tokens behind the picture
        suffix      output of each scheduled decoder layer, the last tokens of the prompt

(MRT paper, Sec. 3; the editor of MoReS and LoReFT.) r (2 D + 1) parameters per editor; a rank of 0 switches a site
off. A convolutional encoder is edited at every cell of each block's output. Where a short prompt's prefix and suffix
overlap, the prefix is edited first.

The released code picks suffix tokens on question and answer in training, but on the question alone in evaluation, so
its suffix editor is trained on answer tokens and used on others; here it is the prompt in both. Its hooks lose their
gradient under gradient checkpointing; here the edit is a part of the module's call. The last layer's prefix edit is
dead in both: nothing reads those positions any more.

The vision encoder must run live: features computed in advance know no edits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from peft import PeftModel
from peft.utils.peft_types import PeftType
from torch import nn

from steering.arms import MrtSettings, steered_layers
from steering.errors import ParamsError
from steering.methods.edited import Site
from steering.methods.layers import decoder_sites, mark_board
from steering.methods.peft_registry import add_peft_type, register_method, seeded_peft_model
from steering.methods.selectors import PrefixSelector, SuffixSelector
from steering.methods.sight import Sight
from steering.methods.sites import EditConfig, EditTuner, paths_in, text_config
from steering.model.composed import ComposedModel

RANKS = ("vision_rank", "connector_rank", "prefix_rank", "suffix_rank")
COUNTS = ("prefix_tokens", "suffix_tokens")


@dataclass
class MRTConfig(EditConfig):
    """A rank for each kind of site (0: none), how many prefix and suffix tokens, and the decoder layers.

    vision_layers: a schedule, or numbers, of the encoder's layers between its first and its last.
    """

    kind: ClassVar[PeftType] = add_peft_type("mrt")

    vision_rank: int = 6
    connector_rank: int = 6
    prefix_rank: int = 4
    suffix_rank: int = 4
    prefix_tokens: int = 6
    suffix_tokens: int = 6
    vision_layers: Any = "all"

    def faults(self) -> list[str]:
        allowed = {f"{rank}: {{}}; allowed 0 or more": getattr(self, rank) >= 0 for rank in RANKS}
        allowed |= {f"{count}: {{}}; allowed 1 or more": getattr(self, count) >= 1 for count in COUNTS}
        none = [] if any(getattr(self, rank) for rank in RANKS) else [f"{', '.join(RANKS)}: all 0; allowed one above"]
        return self._outside(allowed) + none + super().faults()


@dataclass(frozen=True)
class Eyes:
    """What stands before a language model: encoder blocks with the width of each one's output, and the connector."""

    blocks: list[nn.Module]
    widths: list[int]
    channels_first: bool
    connector: nn.Module | None

    @classmethod
    def of(cls, model: Any) -> Eyes:
        """Of a composed model, a LLaVA of transformers, or of a language model, which has none."""
        if isinstance(model, ComposedModel):
            vision: Any = getattr(model, "vision", None)
            blocks = [] if vision is None else list(vision.layers)
            channels_first = bool(blocks) and vision.channels_first
            return cls(blocks, block_widths(vision, blocks), channels_first, model.connector)
        llava = getattr(model, "model", model)
        if not hasattr(llava, "vision_tower") or not hasattr(llava, "multi_modal_projector"):
            return cls([], [], False, None)
        config = model.config.vision_config
        lists = (module for module in llava.vision_tower.modules() if isinstance(module, nn.ModuleList))
        blocks = list(next((found for found in lists if len(found) == config.num_hidden_layers), []))
        return cls(blocks, [config.hidden_size] * len(blocks), False, llava.multi_modal_projector)

    def faults(self, config: MRTConfig) -> list[str]:
        """What is asked for that is not there."""
        faults = []
        if config.vision_rank and len(self.blocks) < 3:
            found = "no layer between its first and last" if self.blocks else "no layers here"
            faults.append(f"vision_rank: {config.vision_rank}, but the vision encoder has {found}; allowed 0")
        if config.connector_rank and self.connector is None:
            faults.append(f"connector_rank: {config.connector_rank}, but the model has no connector; allowed 0")
        return faults


def block_widths(vision: Any, blocks: list[nn.Module]) -> list[int]:
    """The width of each block's output: a transformer's own, a convolutional encoder's seen on one blank picture."""
    if not blocks or not vision.channels_first:
        return [vision.width] * len(blocks) if blocks else []
    widths: dict[nn.Module, int] = {}
    hooks = [
        block.register_forward_hook(lambda module, args, output: widths.update({module: output.shape[1]}))
        for block in blocks
    ]
    try:
        _see_nothing(vision)
    finally:
        for hook in hooks:
            hook.remove()
    return [widths[block] for block in blocks]


@torch.no_grad()
def _see_nothing(vision: Any) -> None:
    """Runs *vision* on a blank picture, from which batch statistics must not learn."""
    first, size = next(vision.parameters()), vision.image_size
    training = [module for module in vision.modules() if module.training]
    try:
        vision.eval()(torch.zeros(1, 3, size, size, dtype=first.dtype, device=first.device))
    finally:
        for module in training:
            module.training = True


class MRTModel(EditTuner):
    """Edits a composed model, a LLaVA of transformers, or, at the prompt alone, a causal language model."""

    title = "MRT"

    def sites(self, config: MRTConfig, model: nn.Module) -> list[Site]:
        eyes = Eyes.of(model)
        if faults := eyes.faults(config):
            raise ParamsError(faults)
        return self._before_language(config, model, eyes) + self._within_language(config, model)

    def _before_language(self, config: MRTConfig, model: Any, eyes: Eyes) -> list[Site]:
        sites = []
        if config.vision_rank:
            inner = list(zip(paths_in(model, eyes.blocks), eyes.widths, strict=True))[1:-1]
            chosen = steered_layers(config.vision_layers, len(inner), key="vision_layers")
            sites += [
                Site(path, "vision", width, config.vision_rank, channels_first=eyes.channels_first)
                for path, width in (inner[number] for number in chosen)
            ]
        if config.connector_rank and eyes.connector is not None:
            (path,) = paths_in(model, [eyes.connector])
            sites.append(Site(path, "connector", text_config(model).hidden_size, config.connector_rank))
        return sites

    def _within_language(self, config: MRTConfig, model: nn.Module) -> list[Site]:
        board, sights = mark_board(model), {}
        if config.prefix_rank:
            sights["prefix"] = (config.prefix_rank, Sight(board, PrefixSelector(config.prefix_tokens)))
        if config.suffix_rank:
            sights["suffix"] = (config.suffix_rank, Sight(board, SuffixSelector(config.suffix_tokens)))
        return decoder_sites(config, model, sights) if sights else []


def attach(root: nn.Module, settings: MrtSettings, *, seed: int) -> PeftModel:
    """The edited *root*, changed in place; the starting values follow from *seed*.

    Raises ParamsError where vision_rank or connector_rank asks for a part that *root* does not have.
    """
    task = None if isinstance(root, ComposedModel) else "CAUSAL_LM"
    config = MRTConfig(task_type=task, **settings.model_dump(exclude={"method"}))
    return seeded_peft_model(root, config, seed=seed)


register_method("mrt", config_cls=MRTConfig, model_cls=MRTModel, prefix=MRTModel.prefix)
