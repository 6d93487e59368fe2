"""LLaVA's conversation JSON, read with all faults at once, written, and made by gathering questions on one picture.

A file is a list of {"id", "image" (absent for text only), "conversations": [{"from": "human" | "gpt", "value"}, ...]}.
A conversation with a picture holds one placeholder <image>, in its first turn, before or after the instruction; it is
stripped from the text here and written before it. Other fields ("model") are ignored.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from steering.errors import DataError

PLACEHOLDER = "<image>"
ROLES = ("human", "gpt")
FAULTS_SHOWN = 10

Turn = tuple[str, str]
Item = tuple[str | None, str | None, str, str]


@dataclass(frozen=True)
class Conversation:
    """Turns of (question, answer) on one picture, named as in its archive, or on none; without the placeholder."""

    id: str
    image: str | None
    turns: tuple[Turn, ...]


def read(path: Path) -> list[Conversation]:
    """The conversations of a LLaVA JSON file; raises DataError that counts all faults and names the first ten."""
    rows = _rows(path)
    faults = [fault for number, row in enumerate(rows) for fault in _faults(row, number)]
    if faults:
        raise DataError(_report(path, faults))
    return [_conversation(row) for row in rows]


def write(path: Path, conversations: Iterable[Conversation]) -> None:
    """Write a LLaVA JSON file in one step; raises DataError, and writes nothing, where read would refuse it.

    One conversation at a time is in memory.
    """
    faults: list[str] = []
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        with open(partial, "w", encoding="utf-8") as file:
            file.writelines(_written(conversations, faults))
        if faults:
            raise DataError(_report(path, faults))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _written(conversations: Iterable[Conversation], faults: list[str]) -> Iterator[str]:
    """The pieces of json.dumps(rows, indent=1); fills *faults*."""
    number = -1
    for number, conversation in enumerate(conversations):
        row = _row(conversation)
        faults += _faults(row, number)
        text = json.dumps(row, ensure_ascii=False, indent=1).replace("\n", "\n ")  # a string's own newlines are escaped
        yield f"{',' if number else '['}\n {text}"
    yield "[]" if number < 0 else "\n]"


def group_by_picture(items: Iterable[Item], turns_per_conversation: int, seed: int) -> list[Conversation]:
    """Conversations of up to *turns_per_conversation* questions on the same picture, in a seeded order per picture.

    items: (image_key, image_name, question, answer); image_key is the picture's identity, and the first name met is
    used. Pictures keep the order in which they come. Items without a picture (key None) share conversations likewise,
    after the others. Raises DataError for a number of turns below 1 or a picture without a name.
    """
    if turns_per_conversation < 1:
        raise DataError(f"conversations: turns_per_conversation is {turns_per_conversation}; allowed is 1 or more")
    names, turns, texts = _gathered(items)
    grouped = [
        Conversation(f"{key}-{part}", names[key], chunk)
        for key, pairs in turns.items()
        for part, chunk in enumerate(_chunks(pairs, turns_per_conversation, Random(f"{seed}/{key}")))
    ]
    chunks = _chunks(texts, turns_per_conversation, Random(f"{seed}/text"))
    return grouped + [Conversation(f"text-{part}", None, chunk) for part, chunk in enumerate(chunks)]


def _gathered(items: Iterable[Item]) -> tuple[dict[str, str], dict[str, list[Turn]], list[Turn]]:
    """{picture: name}, {picture: its turns}, and the turns without a picture."""
    names: dict[str, str] = {}
    turns: dict[str, list[Turn]] = {}
    texts: list[Turn] = []
    for key, name, question, answer in items:
        if key is None:
            texts.append((question, answer))
            continue
        if name is None:
            raise DataError(f"conversations: picture {key} has no name; a question on a picture needs one")
        names.setdefault(key, name)
        turns.setdefault(key, []).append((question, answer))
    return names, turns, texts


def _chunks(turns: list[Turn], size: int, random: Random) -> Iterator[tuple[Turn, ...]]:
    shuffled = random.sample(turns, len(turns))
    for start in range(0, len(shuffled), size):
        yield tuple(shuffled[start : start + size])


def _rows(path: Path) -> list[Any]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: not found; it takes a LLaVA conversation file") from None
    except UnicodeDecodeError as fault:
        raise DataError(f"{path}: byte {fault.start} is not UTF-8; it takes UTF-8") from None
    except json.JSONDecodeError as fault:
        raise DataError(f"{path}: line {fault.lineno}: broken JSON: {fault.msg}") from None
    if not isinstance(rows, list):
        raise DataError(f"{path}: holds a {type(rows).__name__}; it takes a list of conversations")
    return rows


def _report(path: Path, faults: list[str]) -> str:
    shown = "\n".join(f"  {fault}" for fault in faults[:FAULTS_SHOWN])
    more = f"\n  and {len(faults) - FAULTS_SHOWN} more" if len(faults) > FAULTS_SHOWN else ""
    return f"{path}: {len(faults)} fault{'s' if len(faults) > 1 else ''}\n{shown}{more}"


def _faults(row: Any, number: int) -> Iterator[str]:
    """All that is wrong with one row of the file."""
    if not isinstance(row, dict) or "id" not in row:
        yield f"row {number}: has no id; a row takes id, image, conversations"
        return
    where = f"row {number} (id {row['id']})"
    messages = row.get("conversations")
    if not isinstance(messages, list) or not messages or not all(_is_message(message) for message in messages):
        yield f"{where}: conversations is not a list of from and value; it takes at least one question and its answer"
        return
    yield from (f"{where}: {fault}" for fault in _turn_faults(messages))
    yield from (f"{where}: {fault}" for fault in _picture_faults(row.get("image"), messages))


def _is_message(message: Any) -> bool:
    return isinstance(message, dict) and isinstance(message.get("from"), str) and isinstance(message.get("value"), str)


def _turn_faults(messages: list[dict[str, str]]) -> Iterator[str]:
    unknown = sorted({message["from"] for message in messages} - set(ROLES))
    if unknown:
        yield f"unknown role {', '.join(unknown)}; allowed are {', '.join(ROLES)}"
    elif any(message["from"] != ROLES[at % 2] for at, message in enumerate(messages)):
        yield "roles do not alternate; allowed is human, gpt, human, gpt"
    if len(messages) % 2:
        yield f"odd number of messages ({len(messages)}); each question takes an answer"
    for at, message in enumerate(messages):
        if at % 2 and not message["value"].strip():
            yield f"message {at}: empty answer; an answer takes some text"


def _picture_faults(image: Any, messages: list[dict[str, str]]) -> Iterator[str]:
    if image is not None and (not isinstance(image, str) or not image):
        yield f"image is {image!r}; allowed is the name of a picture"
    wanted = 1 if image is not None else 0
    found = sum(message["value"].count(PLACEHOLDER) for message in messages)
    if found != wanted:
        yield f"{found} {PLACEHOLDER} in the text; allowed is {wanted} {'with' if wanted else 'without'} a picture"
    elif wanted and PLACEHOLDER not in messages[0]["value"]:
        yield f"{PLACEHOLDER} in a later message; allowed is the first"


def _conversation(row: dict[str, Any]) -> Conversation:
    said = [message["value"] for message in row["conversations"]]
    if row.get("image") is not None:
        said[0] = said[0].replace(PLACEHOLDER, "").strip()
    return Conversation(str(row["id"]), row.get("image"), tuple(zip(said[::2], said[1::2], strict=True)))


def _row(conversation: Conversation) -> dict[str, Any]:
    messages = [
        {"from": role, "value": text} for turn in conversation.turns for role, text in zip(ROLES, turn, strict=True)
    ]
    if conversation.image is None:
        return {"id": conversation.id, "conversations": messages}
    if messages:
        messages[0]["value"] = f"{PLACEHOLDER}\n{messages[0]['value']}"
    return {"id": conversation.id, "image": conversation.image, "conversations": messages}
