"""Where hidden states are edited: one PEFT tuner for every method that edits.

An edit is an editor (formula, rank) at a site (a module's input or output) for the tokens of a selector. MoReS, MRT
and LoReFT are presets: each says which sites there are, and all else is here and in steering.methods.edited. An
adapter cannot be merged: its edit depends on the position.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, ClassVar

from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTuner
from peft.utils.peft_types import PeftType
from torch import nn

from steering.errors import ParamsError, SteeringError
from steering.methods.edited import EditedModule, Site, refuse_merge
from steering.methods.editor import Editor
from steering.methods.sight import PictureWatch
from steering.model.composed import ComposedModel
from steering.model.marks import board_of


@dataclass
class EditConfig(PeftConfig):
    """What the configurations of all methods that edit share; raises ParamsError with all their faults."""

    kind: ClassVar[PeftType]

    layers: Any = field(default="all", metadata={"help": "name of a schedule or list of layer numbers"})
    identity_start: bool = False
    dropout: float = 0.0
    target_modules: str | None = field(default=None, metadata={"help": "worked out from the sites; not to be set"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = self.kind
        if faults := self.faults():
            raise ParamsError(f"{type(self).__name__}.{fault}" for fault in faults)

    def faults(self) -> list[str]:
        return self._outside({"dropout: {}; allowed 0 up to below 1": 0 <= self.dropout < 1})

    def _outside(self, allowed: dict[str, bool]) -> list[str]:
        """A line for each entry that does not hold: "field: {found}; allowed ..." -> whether it holds."""
        return [text.format(getattr(self, text.split(":")[0])) for text, holds in allowed.items() if not holds]


class EditTuner(BaseTuner):
    """Wraps the modules of the sites that a subclass names for its configuration."""

    prefix = "steering_"
    tuner_layer_cls = EditedModule
    title: ClassVar[str]
    _watch: PictureWatch | None = None

    def sites(self, config: Any, model: nn.Module) -> list[Site]:
        """Where *config* edits *model*, in the order of editing where sites share a module."""
        raise NotImplementedError

    def _pre_injection_hook(self, model: nn.Module, config: PeftConfig, adapter_name: str) -> None:
        if isinstance(model, ComposedModel):
            # PEFT asks transformers how checkpoints of this model's parts were once named; that reads this attribute.
            model.base_model_prefix = ""  # type: ignore[assignment]

    def _prepare_adapter_config(self, peft_config: Any, model_config: dict) -> Any:
        return peft_config

    def _prepare_model(self, peft_config: Any, model: nn.Module) -> None:
        self._sites: dict[str, list[Site]] = {}
        for site in self.sites(peft_config, model):
            self._sites.setdefault(site.path, []).append(site)
        peft_config.target_modules = _pattern(self._sites)
        if self._watch is None and not isinstance(model, ComposedModel):  # nothing is left on a model that is refused
            self._watch = PictureWatch(model, board_of(model))

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
        module, sites = target if isinstance(target, EditedModule) else EditedModule(target), self._sites[current_key]
        editors = {site.name: self._editor(peft_config, site, module.base_layer, adapter_name) for site in sites}
        module.add(adapter_name, editors, sites)
        setattr(parent, target_name, module)

    def _editor(self, config: Any, site: Site, module: nn.Module, adapter_name: str) -> Editor:
        options = {"dropout": config.dropout, "identity_start": config.identity_start}
        editor = Editor(site.width, site.rank, tied=getattr(config, "tied", True), **options)
        editor.requires_grad_(adapter_name in self.active_adapters)
        if editor.bias.is_meta:  # built empty by PEFT, to be filled from a file
            return editor
        return editor.to(next(chain(module.parameters(), self.model.parameters())).device)

    def _replace_module(self, parent: nn.Module, child_name: str, new_module: nn.Module, child: nn.Module) -> None:
        setattr(parent, child_name, new_module)

    @classmethod
    def _remove_adapter_name_from_key(cls, key: str, adapter_name: str) -> str:
        """PEFT looks for the name before the last part alone; here the site stands between."""
        return key.replace(f".steering_editors.{adapter_name}.", ".steering_editors.", 1)

    def _check_merge_allowed(self) -> None:
        refuse_merge(self.title)

    def merge_adapter(self, *args: Any, **options: Any) -> None:
        refuse_merge(self.title)

    def _unload_and_optionally_merge(self, merge: bool = True, *args: Any, **options: Any) -> Any:
        if merge:
            refuse_merge(self.title)
        for module in self.model.modules():
            if isinstance(module, EditedModule):
                module.release()
        if self._watch is not None:
            self._watch.remove()
        unloaded: Any = super()._unload_and_optionally_merge(merge, *args, **options)  # type: ignore[func-returns-value]
        return unloaded


def _pattern(paths: Iterable[str]) -> str:
    """A regular expression for exactly these module *paths*, siblings together."""
    siblings: dict[str, list[str]] = {}
    for path in paths:
        parent, _, name = path.rpartition(".")
        siblings.setdefault(f"{parent}." if parent else "", []).append(re.escape(name))
    return "|".join(f"{re.escape(parent)}({'|'.join(names)})" for parent, names in siblings.items())


def text_config(model: Any) -> Any:
    """The configuration of the language model within *model*."""
    return model.config.get_text_config()


def paths_in(model: nn.Module, modules: Iterable[nn.Module]) -> list[str]:
    """The path of each of *modules* in *model*."""
    names = {id(module): name for name, module in model.named_modules()}
    return [names[id(module)] for module in modules]


def decoder_layers(model: Any) -> nn.ModuleList:
    """The decoder layers of a language model; raises SteeringError where there are none."""
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else model
    layers = getattr(decoder, "layers", None)
    if not isinstance(layers, nn.ModuleList):
        raise SteeringError(
            f"{type(model).__name__} has no decoder with .layers; allowed Llama-, Phi-, LLaVA-like language models"
        )
    return layers
