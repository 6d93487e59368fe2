"""Made-up folders of the maps stage: causal, and leaning towards one corner of the picture in later layers."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from steering.manifest import write_json

LAYERS = [1, 10, 20, 30]


def folder(
    at: Path, arm: str, *, side: int = 4, words: int = 24, questions: int = 3, lean: float = 2.0, seed: int = 0
) -> Path:
    """maps/ of one run, whose pictures have side x side visual tokens among *words* others."""
    answer, visual = 2 + len(arm) % 2, side * side
    length = 3 + visual + words + answer
    spans = [["template", 0, 3], ["visual", 3, 3 + visual], ["prompt", 3 + visual, length - answer - 4]]
    spans += [["template", length - answer - 4, length - answer], ["answer", length - answer, length]]
    queries = list(range(length - answer - 1, length - 1))
    arrays: dict[str, Any] = {}
    chance = np.random.default_rng(random.Random(f"{arm}/{seed}").randrange(2**32))
    for number in range(questions):
        for depth, layer in enumerate(LAYERS):
            scores = chance.normal(0, 1, (length, length))
            scores[:, 3 : 3 + visual] += lean * depth * np.linspace(-1, 1, visual)
            scores[:, 0] += 4
            whole = np.tril(np.exp(scores))
            whole /= whole.sum(1, keepdims=True)
            arrays[f"{number}.layer{layer}"] = whole.astype(np.float16)
            arrays[f"{number}.layer{layer}.visual"] = whole.astype(np.float16)[queries, 3 : 3 + visual]
    at.mkdir(parents=True)
    save_file(arrays, at / "maps.safetensors")
    asked = [
        {
            "id": str(n),
            "image": f"test/{n}.png",
            "question": f"How many {n}s & <b>?",
            "prompt": "How many?",
            "target": "3",
            "answer": "" if n == 2 else f"{n} of them",
            "tokens": ["x"] * length,
            "spans": spans,
            "grid": [side, side],
            "queries": queries,
        }
        for n in range(questions)
    ]
    told = {"run": arm, "arm": arm, "seed": seed, "benchmark": "icons-pope", "layers": LAYERS, "questions": asked}
    write_json(at / "maps.json", told | {"protocol": {"questions": "drawn by a hash of their ids"}})
    return at
