"""Published data sets in small: the very shapes of their files and archives, odd rows included."""

from __future__ import annotations

import json
from pathlib import Path

from steering.data.conversations import Conversation, read
from steering.data.shards import ImageArchive
from tests.official_writing import picture, save_zip


def save_json(path: Path, value) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def save_folder(path: Path, members: dict[str, bytes]) -> Path:
    for name, content in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def row(identifier, image, *values, **changes):
    """A row in LLaVA's shape; roles alternate from human on."""
    messages = [{"from": ("human", "gpt")[at % 2], "value": value} for at, value in enumerate(values)]
    found = {"id": identifier, "image": image, "conversations": messages} | changes
    return found if found["image"] is not None else {name: found[name] for name in found if name != "image"}


def lcs(folder: Path, count: int = 40) -> dict[str, Path]:
    """Raw files of LCS-558K; the instruction stands before <image> in every other row."""
    rows, members = [], {}
    for number in range(count):
        name = f"{number % 7:05d}/{number:09d}.jpg"
        asked = "Write a terse caption.\n<image>" if number % 2 else "<image>\nWrite a terse caption."
        rows.append(row(f"{number:09d}", name, asked, f"caption {number}"))
        members[name] = picture(number)
    return {
        "lcs558k_json": save_json(folder / "blip_laion_cc_sbu_558k.json", rows),
        "lcs558k_images": save_zip(folder / "images.zip", members),
    }


def written(folder: Path) -> dict[str, bytes]:
    """The bytes of every file of a data set folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def check_whole(folder: Path, facts: dict) -> list[Conversation]:
    """The conversations, all that every conversion promises having been checked."""
    conversations, archive = read(folder / "conversations.json"), ImageArchive(folder)
    named = {one.image for one in conversations if one.image is not None}
    assert named == set(archive.names())
    for name in named:
        archive.open(name)
    counts = facts["counts"]
    assert counts["rows_in"] == counts["rows_out"] + sum(counts["dropped"].values()) + counts["not_sampled"]
    assert counts["rows_out"] == len(conversations) == len({one.id for one in conversations})
    assert counts["rows_out"] == sum(counts["by_source"].values())
    assert counts["text_only"] == sum(one.image is None for one in conversations)
    assert (counts["pictures"], facts) == (len(named), json.loads((folder / "facts.json").read_text(encoding="utf-8")))
    shards = {"images-00000.tar"} if named else set()
    assert set(written(folder)) == {"conversations.json", "images.parquet", "facts.json"} | shards
    return conversations
