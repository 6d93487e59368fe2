"""Adapters on disk: a PEFT folder with the trained tensors alone, and a note of the base model they belong to.

    adapter_config.json        the method's configuration, as PEFT reads it     (absent for "none" and "full")
    adapter_model.safetensors  the method's own tensors, a few kB for MoReS     (absent for "none")
    adapter_base.json          method, base_hash, hidden size and layer count of the base model

For "full" the tensors are all weights of the language model, in the base model's dtype. PeftModel.from_pretrained
reads the folder of a PEFT method too; load_adapter also refuses one that belongs to another base model or whose
tensors are not exactly those the configuration asks for.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel
from peft.utils import PeftType, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from steering.errors import CheckpointError, SteeringError, nearest
from steering.methods.full import is_whole, mark_whole, train_whole, unmark_whole, whole_tensors
from steering.methods.layers import text_config
from steering.methods.peft_registry import seeded_peft_model
from steering.methods.placing import place
from steering.model.composed import ComposedModel

BASE, CONFIG, WEIGHTS = "adapter_base.json", "adapter_config.json", "adapter_model.safetensors"
OUTSIDE_PEFT = ("none", "full")


def save_adapter(adapted: nn.Module, folder: Path, *, base_hash: str) -> None:
    """Writes what the method of *adapted*, as `attach` or `adapt` gave it, has trained, in place of *folder*.

    *base_hash* identifies the base model's weights. The folder appears whole or not at all.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    _write_json(partial / BASE, {"method": _method(adapted), **_identity(adapted, base_hash=base_hash)})
    if isinstance(adapted, PeftModel):
        _write_json(partial / CONFIG, _plain_config(adapted.peft_config[adapted.active_adapter]))
    if tensors := _own_tensors(adapted):
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(plain, partial / WEIGHTS, metadata={"format": "pt"})
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def load_adapter(model: nn.Module, folder: Path, *, base_hash: str, trainable: bool = False) -> nn.Module:
    """The adapter of *folder* on *model*, a causal LM or a composed model; frozen unless *trainable*.

    The model is changed in place and the adapted module given, as by `attach` for a causal LM and by `adapt` for a
    composed model. Raises CheckpointError where the folder is damaged, belongs to a base model of another hash,
    hidden size or layer count, or has other tensors than its configuration asks for; the model is then as it was.
    """
    method = _stored_method(folder, _identity(model, base_hash=base_hash))

    def put(part: nn.Module) -> nn.Module:
        if method == "none":
            return part.requires_grad_(False)
        load = _load_whole if method == "full" else _load_peft
        return load(part, folder, trainable=trainable)

    return place(model, method, put) if isinstance(model, ComposedModel) else put(model)


def merged_adapter(language_model: nn.Module, folder: Path, *, base_hash: str) -> nn.Module:
    """*language_model*, frozen, with the adapter of *folder* merged into its weights, so that another may be put on it.

    Raises CheckpointError as `load_adapter` does, and SteeringError for a method that does not merge.
    """
    adapted = load_adapter(language_model, folder, base_hash=base_hash)
    if isinstance(adapted, PeftModel):
        adapted = adapted.merge_and_unload()
    if is_whole(adapted):
        unmark_whole(adapted)
    return adapted.requires_grad_(False).eval()


def _load_whole(language_model: nn.Module, folder: Path, *, trainable: bool) -> nn.Module:
    tensors, own = _read_tensors(folder / WEIGHTS), dict(language_model.named_parameters())
    _refuse(folder / WEIGHTS, _tensor_faults(tensors, own))
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(tensors[name])
    mark_whole(language_model)
    return train_whole(language_model) if trainable else language_model.requires_grad_(False).eval()


def _load_peft(part: nn.Module, folder: Path, *, trainable: bool) -> nn.Module:
    tensors, config = _read_tensors(folder / WEIGHTS), _read_config(folder)
    config.inference_mode = not trainable
    wanted_gradients = [(parameter, parameter.requires_grad) for parameter in part.parameters()]
    adapted = None
    try:
        adapted = _fresh_peft_model(part, config, folder)
        _refuse(folder / WEIGHTS, _tensor_faults(tensors, _own_tensors(adapted)))
    except CheckpointError:
        if adapted is not None:
            adapted.unload()
        for parameter, wanted in wanted_gradients:
            parameter.requires_grad_(wanted)
        raise
    set_peft_model_state_dict(adapted, tensors)
    return adapted if trainable else adapted.eval()


def _fresh_peft_model(part: nn.Module, config: PeftConfig, folder: Path) -> PeftModel:
    try:
        return seeded_peft_model(part, config, seed=0)
    except (SteeringError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / CONFIG}: {error}; allowed a configuration that fits the model") from error


def _own_tensors(adapted: nn.Module) -> dict[str, Tensor]:
    if isinstance(adapted, PeftModel):
        return get_peft_model_state_dict(adapted, adapter_name=adapted.active_adapter, save_embedding_layers=False)
    return whole_tensors(adapted) if is_whole(adapted) else {}


def _method(adapted: nn.Module) -> str:
    if isinstance(adapted, PeftModel):
        return PeftType(adapted.peft_config[adapted.active_adapter].peft_type).lower()
    return "full" if is_whole(adapted) else "none"


def _identity(model: nn.Module, *, base_hash: str) -> dict[str, Any]:
    """What must be the same where an adapter is saved and where it is loaded."""
    sizes = text_config(model)
    return {"base_hash": base_hash, "hidden": sizes.hidden_size, "layers": sizes.num_hidden_layers}


def _stored_method(folder: Path, wanted: dict[str, Any]) -> str:
    """The method of *folder*, which is the folder's to say; everything else must be as *wanted*."""
    stored = _read_json(folder / BASE)
    faults = [
        f"{key}: {stored.get(key)}; allowed {value}, that of the model given"
        for key, value in wanted.items()
        if stored.get(key) != value
    ]
    known = [*OUTSIDE_PEFT, *(kind.lower() for kind in PeftType)]
    method = str(stored.get("method"))
    if method not in known:
        faults.append(f"method: {method}; allowed none, full or the name of a PEFT method{nearest(method, known)}")
    _refuse(folder / BASE, faults)
    return method


def _refuse(path: Path, faults: list[str]) -> None:
    if faults:
        raise CheckpointError("\n".join(f"{path}: {fault}" for fault in faults))


def _tensor_faults(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    missing = [f"{name} is missing" for name in sorted(wanted.keys() - found.keys())]
    extra = [f"{name} is unknown" for name in sorted(found.keys() - wanted.keys())]
    shapes = {name: (tuple(found[name].shape), tuple(wanted[name].shape)) for name in found.keys() & wanted.keys()}
    misfits = [f"{name} has shape {has}; allowed {fits}" for name, (has, fits) in sorted(shapes.items()) if has != fits]
    return missing + extra + misfits


def _plain_config(config: PeftConfig) -> dict[str, Any]:
    """Sets as sorted lists, so that equal adapters are equal bytes."""
    plain = {key: sorted(value) if isinstance(value, set) else value for key, value in config.to_dict().items()}
    return plain | {"inference_mode": True}


def _read_config(folder: Path) -> PeftConfig:
    told = _read_json(folder / CONFIG).get("peft_type")
    if str(told).lower() != (method := _read_json(folder / BASE)["method"]):
        raise CheckpointError(f"{folder / CONFIG}: peft_type: {told}; allowed {method.upper()}, as {BASE} says")
    try:
        return PeftConfig.from_pretrained(str(folder))
    except (SteeringError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / CONFIG}: {error}; allowed the configuration of a PEFT method") from error


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: {error}; allowed a whole safetensors file") from error


def _read_json(path: Path) -> dict[str, Any]:
    allowed = "allowed a JSON object that save_adapter wrote"
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}; {allowed}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: {type(content).__name__}; {allowed}")
    return content


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
