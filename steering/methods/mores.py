"""MoReS: a linear edit of chosen visual tokens on the residual stream, as a PEFT method.

    h' = h + R (W h + b - R^T h)    at the selected visual positions of each steered decoder layer

(MoReS paper, Eq. 3-5.) Each steered decoder layer is wrapped, so the edit is a part of the layer call: it is in
the graph with and without gradient checkpointing, and the marks are read once per forward pass, never when a
checkpointed layer is recomputed. Only visual positions are touched; a batch without pictures, and every cached
decoding step, runs the base model's own operations.

Under the paper's placement (the layer's output) the edit of the last layer is dead: nothing reads those
positions, its gradient is exactly 0 (unless a supervised token follows a picture directly). placement="input"
edits what the layer reads and has no dead parameters. An adapter cannot be merged: its edit depends on the
position. Recorded hidden states (output_hidden_states) are those of the wrapped layers, before an output edit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from peft import PeftConfig, PeftModel
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from torch import Tensor, nn

from steering.arms import PAPER_RATIO, MoresSettings, steered_layers
from steering.errors import ParamsError, SteeringError
from steering.methods.editor import Editor
from steering.methods.peft_registry import add_peft_type, register_method, seeded_peft_model
from steering.methods.selectors import Sight, VisualSelector, marks_from_ids
from steering.model.marks import MarkBoard, board_of

MORES = add_peft_type("mores")
PLACEMENTS = ("output", "input")


@dataclass
class MoReSConfig(PeftConfig):
    """rank, token_ratio (0.01: the first 4 and last 5 visual tokens of each picture), layers and placement."""

    rank: int = 1
    token_ratio: float = PAPER_RATIO
    first: int = 4
    last: int = 5
    layers: Any = field(default="all", metadata={"help": "name of a schedule or list of layer numbers"})
    placement: str = "output"
    identity_start: bool = False
    dropout: float = 0.0
    target_modules: str | None = field(default=None, metadata={"help": "worked out from layers; not to be set"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = MORES
        if faults := self._faults():
            raise ParamsError(f"MoReSConfig.{fault}" for fault in faults)

    def _faults(self) -> list[str]:
        allowed = {
            "rank: {}; allowed 1 or more": self.rank >= 1,
            "token_ratio: {}; allowed above 0, up to 1": 0 < self.token_ratio <= 1,
            "first: {}; allowed 0 or more": self.first >= 0,
            "last: {}; allowed 0 or more": self.last >= 0,
            "placement: {}; allowed output, input": self.placement in PLACEMENTS,
            "dropout: {}; allowed 0 up to below 1": 0 <= self.dropout < 1,
        }
        return [text.format(getattr(self, text.split(":")[0])) for text, holds in allowed.items() if not holds]


@dataclass(frozen=True)
class Site:
    """Where an adapter edits: which side of the layer, and who is seen there."""

    placement: str
    sight: Sight


class SteeredLayer(nn.Module, BaseTunerLayer):
    """A decoder layer whose input or output is edited at the selected positions, by each active adapter in turn."""

    adapter_layer_names = ("mores_editors",)
    other_param_names = ("mores_sites",)

    def __init__(self, base_layer: nn.Module, index: int):
        super().__init__()
        self.base_layer = base_layer
        self.index = index
        self.mores_editors = nn.ModuleDict()
        self.mores_sites: dict[str, Site] = {}

    def __getattr__(self, name: str) -> Any:
        """What the decoder layer has can be read through the wrapper, as some models read layer.attention_type."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "base_layer" or name.startswith("_"):
                raise
            return getattr(self.base_layer, name)

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        """The layer's own result with the selected positions of hidden_states (b, t, d) or of the output edited."""
        edits = self._edits(hidden_states, kwargs.get("past_key_values"))
        hidden_states = self._edited(hidden_states, edits, placement="input")
        output = self.base_layer(hidden_states, *args, **kwargs)
        if isinstance(output, tuple):
            return (self._edited(output[0], edits, placement="output"), *output[1:])
        return self._edited(output, edits, placement="output")

    def _edits(self, states: Tensor, cache: Any) -> list[tuple[str, Tensor]]:
        """Active adapters with the positions each edits; read before the layer runs, for then the cache grows."""
        if self.disable_adapters:
            return []
        present = [name for name in self.active_adapters if name in self.mores_sites]
        seen = [
            (name, self.mores_sites[name].sight.positions(states, cache=cache, layer=self.index)) for name in present
        ]
        return [(name, positions) for name, positions in seen if positions is not None]

    def _edited(self, states: Tensor, edits: list[tuple[str, Tensor]], *, placement: str) -> Tensor:
        for name, positions in edits:
            if self.mores_sites[name].placement == placement:
                flat = states.reshape(-1, states.shape[-1])  # (b t, d)
                edited = self.mores_editors[name](flat.index_select(0, positions))  # (n, d)
                states = flat.index_copy(0, positions, edited).view_as(states)
        return states

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        refuse_merge()


def refuse_merge() -> None:
    raise SteeringError(
        "MoReS: cannot be merged, its edit depends on the position; allowed unload() or disable_adapter()"
    )


class PictureWatch:
    """Shows the pictures found in input_ids on the board, for models that nothing else marks."""

    def __init__(self, model: nn.Module, board: MarkBoard):
        self.board = board
        self.shown = False
        self.hooks = [
            model.register_forward_pre_hook(self.before, with_kwargs=True),
            model.register_forward_hook(self.after, always_call=True),
        ]

    def before(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        image_token = getattr(getattr(model, "config", None), "image_token_id", None)
        input_ids = kwargs.get("input_ids", args[0] if args else None)
        if self.board.current is not None or image_token is None or input_ids is None:
            return
        self.board.current, self.shown = marks_from_ids(input_ids, image_token), True

    def after(self, model: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if self.shown:
            self.board.current, self.shown = None, False

    def remove(self) -> None:
        for hook in self.hooks:
            hook.remove()


class MoReSModel(BaseTuner):
    """Wraps the scheduled decoder layers of any causal or LLaVA-like model of transformers."""

    prefix = "mores_"
    tuner_layer_cls = SteeredLayer

    def _pre_injection_hook(self, model: nn.Module, config: PeftConfig, adapter_name: str) -> None:
        self._watch = PictureWatch(model, board_of(model))

    def _prepare_adapter_config(self, peft_config: Any, model_config: dict) -> Any:
        return peft_config

    def _prepare_model(self, peft_config: Any, model: nn.Module) -> None:
        path, layers = decoder_layers(model)
        chosen = "|".join(str(index) for index in steered_layers(peft_config.layers, len(layers)))
        peft_config.target_modules = rf"{re.escape(path)}\.({chosen})"
        selector = VisualSelector(peft_config.token_ratio, peft_config.first, peft_config.last)
        self._site = Site(peft_config.placement, Sight(board_of(model), selector))

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
        layer = target if isinstance(target, SteeredLayer) else SteeredLayer(target, int(target_name))
        layer.mores_editors[adapter_name] = self._editor(peft_config, layer.base_layer, adapter_name)
        layer.mores_sites[adapter_name] = self._site
        setattr(parent, target_name, layer)

    def _editor(self, config: MoReSConfig, layer: nn.Module, adapter_name: str) -> Editor:
        hidden = text_config(self.model).hidden_size
        editor = Editor(hidden, config.rank, dropout=config.dropout, identity_start=config.identity_start)
        editor.requires_grad_(adapter_name in self.active_adapters)
        # Adapters that PEFT builds empty, to be filled from a file, stay on the meta device until then.
        return editor if editor.bias.is_meta else editor.to(next(layer.parameters()).device)

    def _replace_module(self, parent: nn.Module, child_name: str, new_module: nn.Module, child: nn.Module) -> None:
        setattr(parent, child_name, new_module)

    def _check_merge_allowed(self) -> None:
        refuse_merge()

    def _unload_and_optionally_merge(self, *args: Any, **options: Any) -> Any:
        unloaded: Any = super()._unload_and_optionally_merge(*args, **options)  # type: ignore[func-returns-value]
        self._watch.remove()
        return unloaded


def text_config(model: Any) -> Any:
    """The configuration of the language model within *model*."""
    return model.config.get_text_config()


def decoder_layers(model: Any) -> tuple[str, nn.ModuleList]:
    """The language model's decoder layers with their path in *model*; raises SteeringError where there are none."""
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else model
    layers = getattr(decoder, "layers", None)
    if not isinstance(layers, nn.ModuleList):
        raise SteeringError(
            f"MoReS: {type(model).__name__} has no decoder with .layers; allowed Llama-, Phi-, LLaVA-like"
        )
    return next(name for name, module in model.named_modules() if module is layers), layers


def attach(language_model: nn.Module, settings: MoresSettings, *, seed: int) -> PeftModel:
    """The steered *language_model*, changed in place; the starting values follow from *seed*."""
    config = MoReSConfig(task_type="CAUSAL_LM", **settings.model_dump(exclude={"method", "tied", "tokens"}))
    return seeded_peft_model(language_model, config, seed=seed)


register_method("mores", config_cls=MoReSConfig, model_cls=MoReSModel, prefix=MoReSModel.prefix)
