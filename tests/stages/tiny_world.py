"""A whole tiny world on disk, one line of Python away: base model, encoder, pictures, features, conversations."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch

from stages import features
from steering import layout
from steering.data.conversations import Conversation, write
from steering.model.encoders import build_encoder, save_weights

EYE: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
RECIPE: dict[str, Any] = {
    "steps": 3,
    "conversations": 2,
    "connector_learning_rate": 1e-2,
    "method_learning_rate": 1e-2,
    "warmup_ratio": 0.0,
    "weight_decay": 0.0,
    "clip_norm": 1.0,
    "independent_turns": True,
    "checkpoint_every": 50,
}
MODEL: dict[str, Any] = {
    "world": "tiny",
    "language_model": {"name": "lm", "dtype": "float32", "attention": "sdpa"},
    "vision_encoder": {"name": "eye", "kind": "clip", "config": EYE, "tokens": 16, "width": 16},
    "connector": "mlp2_norm",
    "template": "chatml",
}
PRETRAIN: dict[str, Any] = {
    "dataset": "pictures",
    "captions": "captions.json",
    "template": "plain",
    "seed": 0,
    "warm_start": {"steps": 2, "pictures": 2, "learning_rate": 1e-2},
    "recipe": RECIPE,
}
CAPTIONS = ["red", "green", "blue"]


def put_parts(language_model: Any, tokenizer: Any, put_manifest: Callable[..., None]) -> None:
    """The base model and the vision encoder."""
    base, eye = layout.language_model("lm"), layout.vision_encoder("eye")
    language_model.save_pretrained(base)
    tokenizer.save_pretrained(base)
    put_manifest(base)
    eye.mkdir(parents=True)
    torch.manual_seed(5)
    save_weights(build_encoder("clip", EYE).state_dict(), eye / "model.safetensors")
    put_manifest(eye)


def put_conversations(put_manifest: Callable[..., None]) -> None:
    """Captions of the pictures, features, and a mixture with a text-only conversation among the pictured."""
    folder = layout.dataset("tiny", "pictures")
    names = [f"train/{number}.png" for number in range(3)]
    told = list(zip(names, CAPTIONS, strict=True))
    write(folder / "captions.json", [Conversation(name, name, (("Describe.", caption),)) for name, caption in told])
    put_manifest(folder)
    features.main({"world": "tiny", "dataset": "pictures", "name": "eye", "encoder": MODEL["vision_encoder"]})
    asked = [Conversation(name, f"pictures/{name}", (("Colour?", said), ("Sure?", "yes"))) for name, said in told]
    write(layout.mixture("tiny", "mix"), [*asked, Conversation("text", None, (("Two and two?", "four"),))])


def tuning(arm: str, settings: dict[str, Any], **recipe: Any) -> dict[str, Any]:
    """The slice of the tune stage."""
    run = {"data": "mix", "arm": arm, "seed": 0, "settings": settings}
    return {**MODEL, **run, "recipe": RECIPE | recipe, "datasets": ["pictures"], "pretrain_seed": 0}


def asking(arm: str, settings: dict[str, Any], benchmark: dict[str, Any]) -> dict[str, Any]:
    """The slice of the predict stage."""
    asked = {"pope": benchmark | {"ask": {"questions": 6, "per_picture": 2}}}
    run = {"data": "mix", "arm": arm, "seed": 0, "settings": settings}
    return {**MODEL, **run, "benchmarks": asked, "splits": ["test"]}


def put_answers(arm: str, put_manifest: Callable[..., None], answer: str = "yes") -> None:
    """Three predictions of a run, one on each test picture, all alike."""
    folder = layout.outcome("tiny", "mix", arm, 0) / "predictions"
    folder.mkdir(parents=True, exist_ok=True)
    asked = {"benchmark": "pope", "question": "Red?", "prompt": "Red?", "target": "yes", "answer": answer}
    lines = [
        {**asked, "id": str(n), "group": str(n), "image": f"test/{n}.png", "picture": f"pictures/test/{n}.png"}
        for n in range(3)
    ]
    (folder / "predictions.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    put_manifest(folder)
