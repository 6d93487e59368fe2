"""Finished runs on disk, as `python -m stages.published` finds them: two benchmarks, three arms, two training seeds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import invented

from stages.published import main
from steering import layout
from steering.manifest import write_json

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = (ROOT / "tests/example.yaml").read_text(encoding="utf-8")
FORMS = {"shapes": "icons-pope", "flags_sqa": "countries-scienceqa"}
LIKE = {"none": "none", "edit": "mores_b", "low": "lora"}
SEEDS = (0, 3)


def scores(arm: str, seed: int, data: str = "mix") -> list[dict[str, Any]]:
    named = {"arm": arm, "world": "long", "data": data, "run": f"long/{data}/{arm}/seed{seed}"}
    return [invented.score_file(LIKE[arm], seed, like) | {"benchmark": name, **named} for name, like in FORMS.items()]


def attention(arm: str, seed: int) -> dict[str, Any]:
    return invented.attention(LIKE[arm], seed) | {"arm": arm, "seed": seed, "run": f"long/mix/{arm}/seed{seed}"}


def finish(arm: str, seed: int, data: str = "mix") -> None:
    trained, outcome = (place("long", data, arm, seed) for place in (layout.run, layout.outcome))
    told = {"commit": "abc", "finished": "2026-11-26T20:00:00+00:00", "computed_in": "float32", "versions": {}}
    counts = {"method": "none", "trainable_llm": 5, "trainable_all": 9, "data": data, "arm": arm, "seed": seed}
    write_json(trained / "manifest.json", {**told, **counts})
    (trained / "metrics.jsonl").touch()
    write_json(outcome / "scores.json", scores(arm, seed, data))
    write_json(outcome / "attention" / "attention.json", attention(arm, seed))
    write_json(outcome / "predictions" / "manifest.json", {"slice": {"logits": "float32"}})
    (outcome / "predictions" / "predictions.jsonl").touch()


def told() -> dict[str, Any]:
    return json.loads(main(["longer", "--json"]))["longer"]
