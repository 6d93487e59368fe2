"""pydantic's findings as lines a person can act on: path, what was found, what is allowed, the nearest name."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from steering.errors import nearest

Location = tuple[str | int, ...]


def readable(error: ValidationError, model: type[BaseModel], raw: Any) -> Iterator[str]:
    """One line per faulty place, in the order of the file; what several readings allow is joined."""
    told: dict[str, str] = {}
    for detail in error.errors():
        owner, path = _owner(model, detail["loc"], raw)
        where, sentence = ".".join(map(str, path)), _sentence(detail, owner, path)
        told[where] = f"{told[where]} or {sentence.split('allowed: ')[-1]}" if where in told else sentence
    yield from (f"{where}: {sentence}" for where, sentence in told.items())


def _sentence(detail: ErrorDetails, owner: type[BaseModel] | None, path: Location) -> str:
    fields = list(owner.model_fields) if owner else []
    needed = [name for name in fields if owner and owner.model_fields[name].is_required()]
    kind, found = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        return f"unknown; allowed here: {', '.join(fields)}{nearest(str(path[-1]), fields)}"
    if kind == "missing":
        return f"missing; needed here: {', '.join(needed)}"
    if kind == "union_tag_invalid":
        tag, tags = detail["ctx"]["tag"], [tag.strip(" '") for tag in detail["ctx"]["expected_tags"].split(",")]
        return f"{_tag(detail)} {tag} is unknown; allowed: {', '.join(tags)}{nearest(tag, tags)}"
    if kind == "union_tag_not_found":
        return f"{_tag(detail)} is missing; every entry here names its {_tag(detail)}"
    if kind == "value_error":  # a rule of several fields together, in its own words
        return f"found {detail['msg'].removeprefix('Value error, ')}"
    rule = re.sub(r"^\w+ should (be |have )?", "allowed: ", detail["msg"]).replace(" match ", " what matches the ")
    choices = re.findall(r"'([^']+)'", str(detail.get("ctx", {}).get("expected", "")))
    return f"found {found!r}; {rule}{nearest(str(found), choices)}"


def _tag(detail: ErrorDetails) -> str:
    """The key that tells the readings of a union apart."""
    return str(detail["ctx"]["discriminator"]).strip("'")


def _owner(model: type[BaseModel] | None, location: Location, raw: Any) -> tuple[type[BaseModel] | None, Location]:
    """The model whose field is at fault, and the path as it stands in the file (union tags left out)."""
    annotation: Any = model
    owner, path = model, []
    for step in location:
        annotation = _plain(annotation)
        if _is_label(step, annotation, raw):
            continue
        chosen = _tagged(annotation, step) if not (isinstance(raw, Mapping) and step in raw) else None
        if chosen is not None:
            annotation = owner = chosen
            continue
        annotation = _member(annotation, raw)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            owner = annotation
            field = annotation.model_fields.get(str(step))
            annotation = field.annotation if field else None
        else:
            arguments = get_args(annotation)
            annotation = arguments[-1] if arguments else None
        path.append(step)
        raw = raw[step] if _has(raw, step) else None
    return owner, tuple(path)


def _is_label(step: str | int, annotation: Any, raw: Any) -> bool:
    """Whether *step* is pydantic's name for one reading of a union, or for a key itself, which no file holds."""
    if step == "[key]":
        return True
    if _has(raw, step) or isinstance(step, int) or _tagged(annotation, step):
        return False
    return not isinstance(raw, Mapping) or (_is_union(annotation) and not _members(annotation))


def _has(raw: Any, step: str | int) -> bool:
    if isinstance(raw, Mapping):
        return step in raw
    return isinstance(raw, list) and isinstance(step, int) and step < len(raw)


def _plain(annotation: Any) -> Any:
    """*annotation* without what is said about it, and without "or None"."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    readings = [reading for reading in get_args(annotation) if reading is not type(None)]
    return _plain(readings[0]) if _is_union(annotation) and len(readings) == 1 else annotation


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (typing.Union, types.UnionType)


def _members(annotation: Any) -> list[type[BaseModel]]:
    return [m for m in get_args(annotation) if isinstance(m, type) and issubclass(m, BaseModel)]


TAGS = ("method", "kind")
"""Keys by which the readings of a union are told apart."""


def _tags(member: type[BaseModel]) -> list[str]:
    fields = [member.model_fields[name] for name in TAGS if name in member.model_fields]
    literals = [get_args(field.annotation) for field in fields if get_origin(field.annotation) is typing.Literal]
    return [values[0] for values in literals if len(values) == 1]


def _tagged(annotation: Any, step: Any) -> type[BaseModel] | None:
    """The reading of a union whose tag is *step*."""
    members = _members(annotation) if isinstance(step, str) and _is_union(annotation) else []
    return next((member for member in members if step in _tags(member)), None)


def _member(annotation: Any, raw: Any) -> Any:
    tags = [raw.get(name) for name in TAGS] if isinstance(raw, Mapping) else []
    return next((found for tag in tags if (found := _tagged(annotation, tag))), annotation)
