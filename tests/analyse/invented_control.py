"""Made-up tries of token control, as the stage leaves them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

WANTED = {"rank": 4, "layers": "all", "steps": 25, "confidence": 0.9, "learning_rate": 0.01}
TRIED = [("none", 1), *((kind, n) for kind in ("object", "random", "text") for n in (1, 2, 4))]
CHANCE = {"none": 0.0, "object": 0.5, "random": 0.3, "text": 0.9}


def lines(arm: str, seed: int, *, questions: int = 20) -> list[dict[str, Any]]:
    """Made-up tries: more tokens reach the target more often, and the text takes most along."""
    chance = random.Random(f"{arm}/{seed}")
    told = []
    for number in range(questions):
        words = {"question": f"Where is the cat, {number}?", "prompt": "Where?", "target": "top left", "decoy": "below"}
        about = {"benchmark": "icons-iconqa", "split": "test", "id": str(number), "group": f"g{number}", **words}
        for kind, tokens in TRIED:
            reached = chance.random() < CHANCE[kind] * (0.6 + 0.1 * tokens)
            patches = {"object": [5, 6, 9, 10], "random": [0, 3, 12, 15]}.get(kind, [])[:tokens]
            watched = {"asked": 4, "changed": round(4 * CHANCE[kind]), "right_before": 2.0, "right_after": 1.0}
            answers = {"before": "below", "aim": "top right", "after": "top right" if reached else "below"}
            sizes = {"kind": kind, "tokens": tokens, "edited": tokens, "patches": patches, "norm": 0.1 * tokens}
            facts = {"steps": 9, "gain": 3.0 * reached, "probability": 0.9 * reached, "log_likelihood": -0.1}
            hit = {"success": float(reached), "decoy_hit": 0.0, "same": watched, "others": watched}
            told.append({**about, "picture": "a", "image": f"test/{number}.png", **answers, **sizes, **facts, **hit})
    return told


def put(folder: Path, arm: str, seed: int, **changed: Any) -> Path:
    folder.mkdir(parents=True)
    told = {"run": f"embedded/icons/{arm}/seed{seed}", "arm": arm, "seed": seed, "grid": 4, "wanted": WANTED}
    (folder / "token_control.json").write_text(json.dumps(told | {"rows": []}))
    (folder / "tries.jsonl").write_text("".join(json.dumps(line | changed) + "\n" for line in lines(arm, seed)))
    return folder
