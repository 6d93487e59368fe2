"""A small experiment made up for the tests of the report: three arms, two seeds, three benchmarks, thirty layers.

The scores come from the real scorers over invented answers, so that their shape is the real one.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from functools import cache
from typing import Any

from PIL import Image, ImageDraw

from steering.evaluate.benchmarks import FORMS, Example
from steering.evaluate.scoring import prediction_of, score

SEEDS = (0, 1, 2, 3, 4)
LAYERS = 30
QUESTIONS = 60
# parameters trained in the language model, and how often an arm is right on pope, iconqa, scienceqa
ARMS = {"none": (0, (0.52, 0.31, 0.46)), "mores_b": (34_590, (0.54, 0.33, 0.46)), "lora": (460_800, (0.86, 0.55, 0.5))}
METHODS = {"none": "none", "mores_b": "mores", "lora": "lora"}
BENCHMARKS = {"icons-pope": "pope", "icons-iconqa": "iconqa", "countries-scienceqa": "scienceqa"}
CONNECTOR = 1_071_360
NAMES = ("cat", "dog", "car", "rose", "hammer", "pizza", "boat", "scarf")
COLOURS = ("#d9602b", "#2b7fc4", "#12977a", "#b98a0e", "#b565a7", "#c04040", "#4060a0", "#708030")
CAPITALS = ("Paris", "Lima", "Oslo", "Cairo", "Tokyo", "Quito")


def pope_question(number: int, picture: str) -> Example:
    truth, name = ("yes", "no")[number % 2], NAMES[number % len(NAMES)]
    question = f"Is there a {name} in the image?"
    category = ("random", "popular", "adversarial")[number % 3]
    return Example(f"{category}/{number}", picture, question, truth, (truth,), question=question, category=category)


def iconqa_question(number: int, picture: str) -> Example:
    truth, question = str(1 + number % 4), f"How many {NAMES[number % len(NAMES)]}s are there?"
    return Example(str(number), picture, question, truth, (truth,), question=question, category="count")


def scienceqa_question(number: int, picture: str) -> Example:
    at = number % len(CAPITALS)
    choices = tuple(CAPITALS[(at + step) % len(CAPITALS)] for step in range(4))
    letter, shown = "ABCD"[number % 4], picture if number % 2 else None
    question = "Which city is the capital of the country with this flag?" if shown else "Which city is a capital?"
    return Example(
        str(number),
        shown,
        question,
        letter,
        (letter,),
        choices,
        question=question,
        category="image" if shown else "text",
    )


QUESTION_OF: dict[str, Callable[[int, str], Example]] = {
    "pope": pope_question,
    "iconqa": iconqa_question,
    "scienceqa": scienceqa_question,
}
WRONG = {"pope": ("yes", "no"), "iconqa": ("1", "2", "3", "4"), "scienceqa": ("A", "B", "C", "D")}


def questions(form: str) -> list[Example]:
    return [QUESTION_OF[form](number, f"test/{number // 3}.png") for number in range(QUESTIONS)]


def predictions(arm: str, seed: int, benchmark: str) -> list[dict[str, Any]]:
    form = BENCHMARKS[benchmark]
    share = ARMS[arm][1][list(BENCHMARKS).index(benchmark)]
    chance = random.Random(f"{arm}/{seed}/{benchmark}")
    found = []
    for example in questions(form):
        wrong = [answer for answer in WRONG[form] if answer != example.target]
        answer = example.target if chance.random() < share else chance.choice(wrong)
        found.append(prediction_of(example, group=str(example.image or example.id), answer=answer))
    return found


@cache
def score_file(arm: str, seed: int, benchmark: str) -> dict[str, Any]:
    form = FORMS[BENCHMARKS[benchmark]]
    train = questions(form.name)[::2]
    body = score(form, predictions(arm, seed, benchmark), train_examples=train, resamples=200)
    head = {"benchmark": benchmark, "split": "test", "run": f"embedded/icons/{arm}/seed{seed}", "world": "embedded"}
    return {**head, "arm": arm, "method": METHODS[arm], "seed": seed, **body}


def band(value: float, width: float) -> dict[str, float]:
    return {"value": value, "low": value - width, "high": value + width}


def attention(arm: str, seed: int) -> dict[str, Any]:
    chance = random.Random(f"{arm}/{seed}")
    lift = {"none": 0.0, "mores_b": 0.25, "lora": 0.1}[arm]
    bare = [0.5 + lift + 0.5 * (layer / LAYERS) + 0.1 * chance.random() for layer in range(LAYERS)]
    sink = [0.2 * value for value in bare]
    share = [0.12 + 0.3 * lift + 0.05 * chance.random() for _ in range(LAYERS)]
    variants = {
        name: {
            kind: [band(value, 0.08 * value + 0.01) for value in values]
            for kind in ("mean_of_ratios", "ratio_of_means")
        }
        for name, values in (("with_sink", sink), ("without_sink", bare))
    }
    return {
        "run": f"embedded/icons/{arm}/seed{seed}",
        "arm": arm,
        "seed": seed,
        "benchmark": "icons-pope",
        "n": QUESTIONS,
        "layers": LAYERS,
        "protocol": {"queries": "the positions that produce the answer's tokens; heads averaged"},
        "lmar": variants,
        "visual_share": [band(value, 0.02) for value in share],
        "visual_attention": band(sum(share) / LAYERS, 0.01),
        "samples": samples(bare, share, chance),
    }


def samples(bare: list[float], share: list[float], chance: random.Random) -> dict[str, Any]:
    """The record of each question, three to a picture: LMAR *bare* without the sink and attention *share* by layer."""
    names = [str(number) for number in range(QUESTIONS)]
    shaken = [[value * chance.uniform(0.8, 1.2) for _ in names] for value in share]
    words = [[value / lmar / 10 * 30 for value in layer] for layer, lmar in zip(shaken, bare, strict=True)]
    mass = {"visual": shaken, "text_without_sink": words, "text": [[5 * value for value in layer] for layer in words]}
    counts = {"visual": [10.0] * QUESTIONS, "text_without_sink": [30.0] * QUESTIONS, "text": [30.0] * QUESTIONS}
    means = [sum(layer[n] for layer in shaken) / LAYERS for n in range(QUESTIONS)]
    columns = {"id": names, "group": [f"p{n // 3}" for n in range(QUESTIONS)], "visual_attention": means}
    return columns | {"mass": mass, "counts": counts}


def manifest(arm: str, seed: int) -> dict[str, Any]:
    trainable = ARMS[arm][0]
    settings = {"method": METHODS[arm]} | ({"rank": 1, "token_ratio": 0.25} if arm == "mores_b" else {})
    return {
        "kind": "tune",
        "run": f"embedded/icons/{arm}/seed{seed}",
        "world": "embedded",
        "data": "icons",
        "arm": arm,
        "method": METHODS[arm],
        "seed": seed,
        "settings": {"arm": settings, "steps": 120, "learning_rate": 0.002},
        "trainable_llm": trainable,
        "trainable_connector": CONNECTOR,
        "trainable_all": trainable + CONNECTOR,
        "adapter_bytes": 4 * trainable,
        "steps": 120,
        "runtime_seconds": 181.5 + 7 * seed,
        "peak_memory_bytes": 1_900_000_000,
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "versions": {"python": "3.11.7", "torch": "2.13.0", "transformers": "5.23.0", "peft": "0.21.2"},
        "inputs": {"data": "a1b2c3"},
        "started": "2026-01-02T03:04:05+00:00",
        "finished": "2026-01-02T03:07:06+00:00",
    }


def history(arm: str, seed: int) -> list[dict[str, float]]:
    chance = random.Random(f"loss/{arm}/{seed}")
    floor = {"none": 1.3, "mores_b": 1.1, "lora": 0.7}[arm]
    return [
        {"step": step, "loss": floor + 2.5 * 0.97**step + 0.2 * chance.random(), "tokens_per_second": 900.0}
        for step in range(1, 121)
    ]


def picture(benchmark: str, name: str) -> bytes:
    """A picture of 2 x 2 coloured shapes that depends on its name only."""
    chance = random.Random(name)
    image = Image.new("RGB", (128, 128), "#fbf7ee")
    draw = ImageDraw.Draw(image)
    for cell in range(4):
        x, y = 64 * (cell % 2) + 8, 64 * (cell // 2) + 8
        draw_shape = chance.choice((draw.ellipse, draw.rectangle))
        draw_shape((x, y, x + 46, y + 46), fill=chance.choice(COLOURS))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
