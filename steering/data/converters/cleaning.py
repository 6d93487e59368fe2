"""One published row, cleaned into a conversation that the strict reader takes; every repair has a name.

Repairs follow LLaVA's own preprocessing where it has a rule (several placeholders in a message count as one, at its
start; a conversation that opens with an answer loses it) and change no supervised word. A question without an answer
teaches nothing and is cut with its empty answer. What no rule covers is Unusable.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from steering.data.conversations import PLACEHOLDER, ROLES, Conversation
from steering.data.converters.ledger import Unusable

Message = tuple[str, str]

NO_ID = "no id: named by its row"
SURROGATE = "lone surrogate: replaced by U+FFFD"
OPENING_ANSWER = "answer before the first question: cut"
OPEN_END = "last question without an answer: cut"
EMPTY_ANSWER = "empty answer: cut with its question"
SEVERAL = "several placeholders: one kept, first"
LATE = "placeholder in a later message: put first"
NO_PLACEHOLDER = "no placeholder: put first"


@dataclass(frozen=True)
class Cleaned:
    conversation: Conversation
    repairs: tuple[str, ...]


def clean(row: Any, number: int) -> Cleaned:
    """The conversation of *row*, the *number*-th of its file (from 0), and the repairs it took; raises Unusable."""
    messages = _messages(row)
    repairs = [] if row.get("id") is not None else [NO_ID]
    image = picture_name(row.get("image"))
    identifier = _encodable(f"row{number}" if repairs else str(row["id"]), repairs)
    said = [(role, _encodable(text, repairs)) for role, text in messages]
    said = _without_placeholders(said, image, repairs)
    turns = _turns(_alternating(said, repairs), repairs)
    return Cleaned(Conversation(identifier, image, turns), tuple(dict.fromkeys(repairs)))


def _messages(row: Any) -> list[Message]:
    found = row.get("conversations") if isinstance(row, dict) else None
    if not isinstance(found, list) or not all(_is_message(message) for message in found):
        raise Unusable("malformed row")
    if any(message["from"] not in ROLES for message in found):
        raise Unusable("unknown role")
    return [(message["from"], message["value"]) for message in found]


def _is_message(message: Any) -> bool:
    return isinstance(message, dict) and all(isinstance(message.get(key), str) for key in ("from", "value"))


def picture_name(image: Any) -> str | None:
    """*image*, a plain relative path, or None; raises Unusable for what could lead out of a folder."""
    if image is None:
        return None
    if not isinstance(image, str) or not image or image != _readable(image) or set(image) & {"\\", "\0"}:
        raise Unusable("malformed picture name")
    if image.startswith("/") or ".." in PurePosixPath(image).parts:
        raise Unusable("malformed picture name")
    return image


def _readable(text: str) -> str:
    """*text* with lone surrogates, which no UTF-8 file can hold, replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _encodable(text: str, repairs: list[str]) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        repairs.append(SURROGATE)
        return _readable(text)
    return text


def _without_placeholders(said: list[Message], image: str | None, repairs: list[str]) -> list[Message]:
    """The messages without placeholders; the picture stands before the first question whatever its place was."""
    places = [text.count(PLACEHOLDER) for _, text in said]
    if image is None:
        if sum(places):
            raise Unusable("placeholder without a picture")
        return said
    if sum(places) != 1:
        repairs.append(SEVERAL if sum(places) else NO_PLACEHOLDER)
    elif not places[0]:
        repairs.append(LATE)
    return [(role, text.replace(PLACEHOLDER, "").strip() if PLACEHOLDER in text else text) for role, text in said]


def _alternating(said: list[Message], repairs: list[str]) -> list[Message]:
    """Messages human, gpt, human, gpt; raises Unusable where an end cut off does not give that."""
    if said and said[0][0] == "gpt":
        repairs.append(OPENING_ANSWER)
        said = said[1:]
    if said and said[-1][0] == "human":
        repairs.append(OPEN_END)
        said = said[:-1]
    if len(said) % 2 or any(role != ROLES[at % 2] for at, (role, _) in enumerate(said)):
        raise Unusable("roles out of order")
    return said


def _turns(said: list[Message], repairs: list[str]) -> tuple[tuple[str, str], ...]:
    texts = [text for _, text in said]
    turns = tuple(zip(texts[::2], texts[1::2], strict=True))
    answered = tuple(turn for turn in turns if turn[1].strip())
    if not answered:
        raise Unusable("no answer")
    if len(answered) < len(turns):
        repairs.append(EMPTY_ANSWER)
    return answered
