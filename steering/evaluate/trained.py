"""A finished run as a model that answers: base model, connector, adapter, and the vision encoder where it runs live."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steering import assemble
from steering.analyse.attended import chooser
from steering.methods.adapters import load_adapter
from steering.model.composed import ComposedModel
from steering.model.device import device


def base_model(content: Mapping[str, Any]) -> Any:
    """The language model that a run of *content* stands on, without its adapter."""
    flash = content["language_model"]["attention"] == "flash_attention_2"  # which no independent questions share
    return assemble.language_model(content, attention="sdpa" if flash else None)


def trained(
    content: Mapping[str, Any], run: Path, *, trainable: bool = False, base: Any = None
) -> tuple[ComposedModel, assemble.Samples]:
    """The model of the folder *run*, in evaluation mode, on the GPU if there is one; the samples it reads.

    Frozen, unless *trainable*: then the method's own parameters are as they are while it is trained.

    base: what `base_model` gave for it, where that was loaded before; it is changed in place.

    Raises DataError and CheckpointError for files that are damaged or of another model, and CheckpointError where the
    run was trained with another conversation template.
    """
    assemble.check_template(content["template"], run)
    base = base_model(content) if base is None else base
    connector = assemble.trained_connector(content, base, run)
    vision = assemble.vision(content, run) if assemble.live(content, run) else None
    model = ComposedModel(connector, base, vision)
    load_adapter(model, run / "adapter", base_hash=assemble.base_hash(content), trainable=trainable)
    if not trainable:
        model.requires_grad_(False)  # the connector too
    model.attend = chooser(model, content["settings"])
    model.to(device())
    return model.eval(), assemble.samples(content, content["template"], model)
