"""A tiny world with five runs that were trained far enough for their methods to change what is said."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from tiny_world import MODEL, PRETRAIN, put_conversations, put_parts, tuning

from stages import check, connector, tune
from steering import layout
from steering.chat.runs import Finished, finished_runs
from steering.data.shards import write_images
from steering.params import load
from steering.plan import Plan

ROOT = Path(__file__).resolve().parents[2]
ARMS: dict[str, dict[str, Any]] = {
    "none": {"method": "none"},
    "edit": {"method": "mores", "rank": 1, "token_ratio": 0.5},
    "low": {"method": "lora", "rank": 8, "alpha": 16},
    "seen": {"method": "mrt", "vision_rank": 2, "connector_rank": 2, "prefix_rank": 1, "suffix_rank": 1},
    "whole": {"method": "full"},
}
COLOURS = ("red", "green", "blue", "white", "black", "yellow")


def drawn(colour: str, form: str = "PNG", *, size: tuple[int, int] = (40, 40)) -> bytes:
    Image.new("RGB", size, colour).save(file := io.BytesIO(), form)
    return file.getvalue()


def put_questions(folder: Path) -> None:
    for split in ("train", "test"):
        (folder / "pope" / split).mkdir(parents=True)
        for category in ("random", "popular", "adversarial"):
            asked = [
                {"question_id": n, "image": f"{split}/{n % 3}.png", "text": f"Is there a {n}?", "label": "yes"}
                for n in range(4)
            ]
            (folder / "pope" / split / f"{category}.json").write_text("\n".join(map(json.dumps, asked)))


def built(language_model: Any, tokenizer: Any, put_manifest: Callable[..., None]) -> tuple[Plan, list[Finished]]:
    """The world in the current folder: its plan and its finished runs."""
    folder = layout.dataset("tiny", "pictures")
    names = [f"{split}/{number}.png" for split in ("train", "test") for number in range(3)]
    write_images(folder, [(name, drawn(colour)) for name, colour in zip(names, COLOURS, strict=True)])
    put_questions(folder)
    put_manifest(folder)
    check.main({"world": "tiny", "name": "pictures", "faulty_pictures": "fail"})
    put_parts(language_model, tokenizer, put_manifest)
    put_conversations(put_manifest)
    connector.main({**MODEL, "pretrain": PRETRAIN})
    for arm, settings in ARMS.items():
        tune.main(tuning(arm, settings, method_learning_rate=0.3, steps=4))
    Path("params.yaml").write_text(params())
    return Plan(load()), finished_runs()


def params() -> str:
    """The example's params for the tiny world and its questions."""
    text = (ROOT / "tests/example.yaml").read_text(encoding="utf-8").replace("small", "tiny")
    return text.replace(
        "shapes: {form: vqa, dataset: pictures,", "shapes: {form: pope, dataset: pictures, folder: pope,"
    )
