"""An edited module: the wrapper that makes an edit a part of a module's call, and the site that says where and whom.

An edited module is wrapped, so the edit is a part of the module's call: it is in the graph with and without
gradient checkpointing, and the marks are read once per forward pass, never when a checkpointed layer is recomputed.
(The authors' hooks are gone by then: under checkpointing their editors get no gradient, and nothing is raised.)
An output is edited within the wrapped module's forward, ahead of all its hooks: hidden states that transformers
records are the edited ones, as they must be where a LLaVA reads a vision encoder's recorded layer.

Where no selected position is in a pass, the base model's own operations run, and the wrapper steps aside before it
does anything else: between the weights of two layers no Python is left in the caches, so a decoded token pays several
times what a loop over one layer shows.

Shapes: b samples, t positions, d width, n selected positions; conv blocks give (p, d, h, w).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from steering.errors import SteeringError
from steering.methods.editor import Editor
from steering.methods.sight import Sight


@dataclass(frozen=True)
class Site:
    """Where an adapter edits: which side of which module, `width` wide, and who is seen there.

    sight: None edits all tokens.  layer: the decoder layer's number, by which a cache tells its length.
    """

    path: str
    name: str
    width: int
    rank: int
    sight: Sight | None = None
    placement: str = "output"
    channels_first: bool = False
    layer: int = 0

    def positions(self, states: Tensor, cache: Any) -> Tensor | None:
        """Flat positions to edit in a pass over *states* (b, t, d); None where there are none, or without sight."""
        return None if self.sight is None else self.sight.positions(states, cache=cache, layer=self.layer)

    def edited(self, states: Tensor, editor: Editor, positions: Tensor | None) -> Tensor:
        """*states* (b, t, d), or (p, d, h, w) with channels_first, with the flat *positions* edited; None means all."""
        if self.channels_first:
            return self._all(states.movedim(1, -1), editor).movedim(-1, 1)
        if positions is None:
            return self._all(states, editor)
        flat = states.reshape(-1, states.shape[-1])  # (b t, d)
        edited = editor(flat.index_select(0, positions))  # (n, d)
        return flat.index_copy(0, positions, edited).view_as(states)

    def _all(self, states: Tensor, editor: Editor) -> Tensor:
        return editor(states.reshape(-1, states.shape[-1])).view(states.shape)


Edit = tuple[Site, Editor, Tensor | None]


class EditedModule(nn.Module, BaseTunerLayer):
    """A module whose input or output is edited, by each active adapter in turn and each of its sites in order."""

    adapter_layer_names = ("steering_editors",)
    other_param_names = ("steering_sites",)

    def __init__(self, base_layer: nn.Module):
        super().__init__()
        self.base_layer = base_layer
        self.steering_editors = nn.ModuleDict()  # adapter -> site -> editor
        self.steering_sites: dict[str, list[Site]] = {}
        self._sights: list[Sight | None] = []  # of all sites, each once
        self._under_way: list[Edit] = []
        self._replaced = vars(base_layer).get("forward")  # accelerate, too, puts one on an instance
        self._forward = base_layer.forward
        base_layer.forward = self._edited_forward  # type: ignore[method-assign]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Straight to the module where no site sees anybody and nothing listens to the wrapper itself."""
        for sight in self._sights:
            if sight is None or sight.awake:
                return super().__call__(*args, **kwargs)
        if self._forward_hooks or self._forward_pre_hooks or self._backward_hooks or self._backward_pre_hooks:
            return super().__call__(*args, **kwargs)
        return self._modules["base_layer"](*args, **kwargs)  # type: ignore[misc]

    def __getattr__(self, name: str) -> Any:
        """What the module has can be read through the wrapper, as some models read layer.attention_type."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "base_layer" or name.startswith("_"):
                raise
            return getattr(self.base_layer, name)

    def add(self, adapter_name: str, editors: dict[str, Editor], sites: list[Site]) -> None:
        """Takes the editors of an adapter by the names of its *sites*."""
        self.steering_editors[adapter_name] = nn.ModuleDict(editors)
        self.steering_sites[adapter_name] = sites
        self._gather_sights()

    def delete_adapter(self, adapter_name: str) -> None:
        super().delete_adapter(adapter_name)
        self._gather_sights()

    def _gather_sights(self) -> None:
        self._sights = list({id(site.sight): site.sight for site in self._all_sites()}.values())

    def _all_sites(self) -> Iterable[Site]:
        return chain.from_iterable(self.steering_sites.values())

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        """The module's own result with the selected positions of hidden_states (b, t, d) or of the output edited."""
        edits = self._edits(hidden_states, kwargs.get("past_key_values"))
        if not edits:
            return self.base_layer(hidden_states, *args, **kwargs)
        for site, editor, positions in edits:
            if site.placement == "input":
                hidden_states = site.edited(hidden_states, editor, positions)
        self._under_way = [edit for edit in edits if edit[0].placement == "output"]
        try:
            return self.base_layer(hidden_states, *args, **kwargs)
        finally:
            self._under_way = []

    def _edits(self, states: Tensor, cache: Any) -> list[Edit]:
        """What there is to edit; read before the module runs, for then the cache grows."""
        if self.disable_adapters:
            return []
        found: list[Edit] = []
        for adapter in self.active_adapters:
            for site in self.steering_sites.get(adapter, ()):
                positions = site.positions(states, cache)
                if site.sight is None or positions is not None:
                    editors: Any = self.steering_editors[adapter]
                    found.append((site, editors[site.name], positions))
        return found

    def _edited_forward(self, *args: Any, **kwargs: Any) -> Any:
        """In place of the module's own forward."""
        output = self._forward(*args, **kwargs)
        if not self._under_way:
            return output
        states = output[0] if isinstance(output, tuple) else output
        for site, editor, positions in self._under_way:
            states = site.edited(states, editor, positions)
        return (states, *output[1:]) if isinstance(output, tuple) else states

    def release(self) -> None:
        """Leaves no trace on the wrapped module, nor on the board."""
        del self.base_layer.forward
        if self._replaced is not None:
            self.base_layer.forward = self._replaced
        for site in self._all_sites():
            if site.sight is not None:
                site.sight.close()

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        refuse_merge()


def refuse_merge(method: str = "edits") -> None:
    raise SteeringError(
        f"{method}: cannot be merged, its edit depends on the position; allowed unload() or disable_adapter()"
    )
