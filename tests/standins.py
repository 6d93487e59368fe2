"""The world 3b in small: its own rows of params.yaml, every source replaced by a file of the same shape, a tiny model.

Data sets, benchmarks, mixtures, converters, builders, forms, template and recipe are params.yaml's own; sizes, steps
and where the bytes come from are not.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from official_files import make_all
from transformers import SiglipConfig, SiglipModel

from steering.yaml_strict import load_yaml

PHI = {
    "model_type": "phi",
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 264,
}
EYE = {
    "image_size": 32,
    "patch_size": 8,
    "hidden_size": 16,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
READER = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "vocab_size": 50,
    "bos_token_id": None,
    "eos_token_id": None,
}
POSITIONS = 4096
EXPERIMENT = {
    "title": "The world 3b in small",
    "question": "Does every data set, benchmark and rule of it run?",
    "world": "3b",
    "data": "multi_task",
    "arms": ["none", "mores_b"],
    "seeds": [0],
    "attention": {"benchmark": "gqa", "questions": 2},
}


def stand_in(project: Path, params: Path, parts: tuple[Callable[..., Any], Any], judge: dict[str, Any]) -> None:
    """Write *project*/params.yaml, from *params*, and *project*/downloads.

    parts: what makes a language model, and a tokenizer. judge: the row of who grades MM-Vet.
    """
    raw = load_yaml(params)
    made = make_all(project / "official") | published_models(project / "official", *parts)
    for name, path in made.items():
        if name not in raw["sources"]:  # a split that no world reads
            continue
        place = project / "downloads" / name / path.name
        place.parent.mkdir(parents=True)
        shutil.move(path, place) if path.is_dir() else shutil.copy(path, place)
        raw["sources"][name] = by_hand(raw["sources"][name], path.name)
    raw["experiments"], raw["default"] = {"standin": EXPERIMENT}, "standin"
    raw["judges"] = {"local": judge}
    raw["worlds"] = {"3b": in_small(raw["worlds"]["3b"])}
    raw["language_models"] = {"phi_2": raw["language_models"]["phi_2"] | {"config": PHI, "dtype": "float32"}}
    raw["vision_encoders"] = {
        "siglip_so400m_384": raw["vision_encoders"]["siglip_so400m_384"] | {"config": EYE, "tokens": 16, "width": 16}
    }
    (project / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")


def published_models(folder: Path, make_language_model: Callable[..., Any], tokenizer: Any) -> dict[str, Path]:
    """Phi-2 and SigLIP as they are published, in small: folders of safetensors."""
    phi, eye = folder / "phi-2", folder / "siglip"
    sizes = {name: value for name, value in PHI.items() if name != "model_type"}
    make_language_model("phi", **sizes, num_key_value_heads=4, max_position_embeddings=POSITIONS).save_pretrained(phi)
    tokenizer.save_pretrained(phi)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        SiglipModel(SiglipConfig(vision_config=EYE, text_config=READER)).save_pretrained(eye)
    return {"phi_2": phi, "siglip_so400m_384": eye}


def by_hand(source: dict[str, Any], file: str) -> dict[str, Any]:
    """The source's row as one that a person puts into its folder."""
    told = {"kind": "manual", "url": "http://127.0.0.1/", "file": file}
    return told | {name: source[name] for name in ("licence", "attribution")}


def in_small(world: dict[str, Any]) -> dict[str, Any]:
    few = {"steps": 2, "conversations": 4}
    pretrain = world["pretrain"] | {"recipe": world["pretrain"]["recipe"] | few, "threads": 1}
    smaller = {"pretrain": pretrain, "tune": world["tune"] | few, "threads": 1, "gpus": 0, "judge": "local"}
    maps = world["analyses"]["maps"] | {"layers": [1, PHI["num_hidden_layers"]]}
    smaller |= {"analyses": world["analyses"] | {"maps": maps}}
    return world | smaller | {"engine": {"micro_batch": 2}, "engines": {}}
