"""Models of several finished runs over one base model, whose frozen weights are in memory once.

Each model has modules of its own around the shared weights, so that no adapter is seen, or has to be stepped over, by
another. What changes the weights themselves (full fine-tuning, an adapter that is merged) has its own: it is made when
it is asked for, and gone when it is let go.

Where one of the runs needs the vision encoder, all have it, so that all read the same: pixels.
"""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from steering import assemble, layout
from steering.analyse.attended import chooser
from steering.methods.adapters import load_adapter
from steering.methods.merging import merge
from steering.model.composed import ComposedModel
from steering.model.device import device
from steering.model.encoders import VisionEncoder

Run = Mapping[str, Any]
"""World, data, arm, seed and settings."""

Module = TypeVar("Module", bound=nn.Module)

OF_ITS_OWN = frozenset({"full"})
"""Methods that have no weights in common with the base model."""


class OneBase:
    """The base model of *content* (a slice with the model's parts), and models of *runs* on it.

    live: whether they read pixels; else features computed once.
    Raises DataError and CheckpointError for files that are damaged or of another model.
    """

    def __init__(self, content: Mapping[str, Any], runs: Sequence[Run]):
        self.content = content
        flash = content["language_model"]["attention"] == "flash_attention_2"  # as in steering.evaluate.trained
        base = assemble.language_model(content, attention="sdpa" if flash else None)
        self._base = nn.Module.to(base, device())  # transformers' own refuses quantised weights
        self.live = any(assemble.live({**content, **run}, folder(run)) for run in runs)
        self._vision = assemble.vision(content).to(device()) if self.live else None

    def bare(self, run: Run) -> ComposedModel:
        """The base model behind the connector of *run*, without its adapter."""
        return self._composed(run, own=False).to(device()).eval()

    def trained(self, run: Run, *, merged: bool = False) -> ComposedModel:
        """What *run* trained, frozen; its adapter beside the weights, or *merged* into weights of its own."""
        content = {**self.content, **run}
        assemble.check_template(content["template"], folder(run))
        model = self._composed(run, own=self.owns(run, merged=merged))
        load_adapter(model, folder(run) / "adapter", base_hash=assemble.base_hash(content))
        model.attend = chooser(model, run["settings"])
        return (merge(model) if merged else model).to(device()).eval()

    def opening(self, run: Run, *, merged: bool = False) -> Callable[[], ComposedModel]:
        """Gives the trained model: always the same, or made anew where it has its own weights."""
        if self.owns(run, merged=merged):
            return lambda: self._anew(run, merged=merged)
        model = self.trained(run)
        return lambda: model

    def samples(self, model: ComposedModel) -> assemble.Samples:
        """The samples that *model*, and any other of these, reads."""
        return assemble.samples(self.content, self.content["template"], model)

    @staticmethod
    def owns(run: Run, *, merged: bool) -> bool:
        """Whether the model has all weights for itself."""
        return merged or run["settings"]["method"] in OF_ITS_OWN

    def _anew(self, run: Run, *, merged: bool) -> ComposedModel:
        gc.collect()  # the last one's modules refer to each other in circles
        return self.trained(run, merged=merged)

    def _composed(self, run: Run, *, own: bool) -> ComposedModel:
        language_model = _copied(self._base, own=own)
        connector = assemble.trained_connector(self.content, language_model, folder(run))
        return ComposedModel(connector, language_model, self._encoder(run))

    def _encoder(self, run: Run) -> VisionEncoder | None:
        if self._vision is None:
            return None
        trained = (folder(run) / assemble.ENCODER).exists()
        return assemble.vision(self.content, folder(run)) if trained else _copied(self._vision, own=False)


def folder(run: Run) -> Path:
    return layout.run(run["world"], run["data"], run["arm"], run["seed"])


def _copied(module: Module, *, own: bool) -> Module:
    """*module* again, with weights of its *own* or with the very same."""
    shared = {} if own else {id(weight): weight for weight in module.parameters()}
    return copy.deepcopy(module, dict(shared))  # type: ignore[arg-type]  # what the memo holds is not copied
