"""Adapters on disk: a PEFT folder with the trained tensors alone, and a note of the base model they belong to.

    adapter_config.json        the method's configuration, as PEFT reads it     (absent for the method "none")
    adapter_model.safetensors  the method's own tensors, a few kB for MoReS     (absent for the method "none")
    adapter_base.json          method, base_hash, hidden size and layer count of the base model

PeftModel.from_pretrained reads the folder too; load_adapter also refuses one that belongs to another base model
or whose tensors are not exactly those the configuration asks for.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from peft import PeftConfig, PeftModel
from peft.utils import PeftType, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from steering.errors import CheckpointError
from steering.methods.mores import text_config
from steering.methods.peft_registry import seeded_peft_model

BASE, CONFIG, WEIGHTS = "adapter_base.json", "adapter_config.json", "adapter_model.safetensors"


def save_adapter(model: nn.Module, folder: Path, *, base_hash: str) -> None:
    """Writes the adapter of *model*, a PEFT model or a bare language model (method "none"), in place of *folder*.

    *base_hash* identifies the base model's weights. The folder appears whole or not at all.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    _write_json(partial / BASE, _identity(model, base_hash=base_hash))
    if isinstance(model, PeftModel):
        _write_json(partial / CONFIG, _plain_config(model.peft_config[model.active_adapter]))
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in _own_tensors(model).items()}
        save_file(tensors, partial / WEIGHTS, metadata={"format": "pt"})
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def load_adapter(language_model: nn.Module, folder: Path, *, base_hash: str, trainable: bool = False) -> nn.Module:
    """*language_model*, changed in place, with the adapter of *folder*; frozen unless *trainable*.

    Raises CheckpointError where the folder is damaged, belongs to a base model of another hash, hidden size or
    layer count, or has other tensors than its configuration asks for; the model is then as it was.
    """
    stored = _read_json(folder / BASE)
    _check_identity(folder, stored, _identity(language_model, base_hash=base_hash))
    if stored["method"] == "none":
        return language_model.requires_grad_(False)
    tensors = _read_tensors(folder / WEIGHTS)
    config = _read_config(folder)
    config.inference_mode = not trainable
    model = seeded_peft_model(language_model, config, seed=0)
    if faults := _tensor_faults(tensors, _own_tensors(model)):
        model.unload()
        raise CheckpointError("\n".join(f"{folder / WEIGHTS}: {fault}" for fault in faults))
    set_peft_model_state_dict(model, tensors)
    return model.eval() if not trainable else model


def _own_tensors(model: PeftModel) -> dict[str, Tensor]:
    return get_peft_model_state_dict(model, adapter_name=model.active_adapter, save_embedding_layers=False)


def _identity(model: nn.Module, *, base_hash: str) -> dict[str, Any]:
    method = PeftType(model.peft_config[model.active_adapter].peft_type) if isinstance(model, PeftModel) else "none"
    sizes = text_config(model)
    return {
        "method": method.lower(),
        "base_hash": base_hash,
        "hidden": sizes.hidden_size,
        "layers": sizes.num_hidden_layers,
    }


def _check_identity(folder: Path, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    """The method is the folder's to say; everything else must be the model's."""
    faults = [
        f"{folder / BASE}: {key}: {stored.get(key)}; allowed {wanted[key]}, that of the model given"
        for key in ("base_hash", "hidden", "layers")
        if stored.get(key) != wanted[key]
    ]
    if "method" not in stored:
        faults.append(f"{folder / BASE}: no method; allowed none or the name of a PEFT method")
    if faults:
        raise CheckpointError("\n".join(faults))


def _tensor_faults(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> list[str]:
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
    _read_json(folder / CONFIG)
    try:
        return PeftConfig.from_pretrained(str(folder))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / CONFIG}: {error}; allowed the configuration of a PEFT method") from error


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: {error}; allowed a whole safetensors file") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}; allowed a JSON file that save_adapter wrote") from error


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
