"""pydantic's findings as lines a person can act on: path, what was found, what is allowed, the nearest name."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from steering.errors import nearest

Location = tuple[str | int, ...]


def readable(error: ValidationError, model: type[BaseModel], raw: Any) -> Iterator[str]:
    """One line per finding, in the order of the file."""
    for detail in error.errors():
        owner, path = _owner(model, detail["loc"], raw)
        yield f"{'.'.join(map(str, path))}: {_sentence(detail, owner, path)}"


def _sentence(detail: ErrorDetails, owner: type[BaseModel] | None, path: Location) -> str:
    fields = list(owner.model_fields) if owner else []
    kind, found = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        return f"unknown; allowed here: {', '.join(fields)}{nearest(str(path[-1]), fields)}"
    if kind == "missing":
        return f"missing; needed here: {', '.join(fields)}"
    if kind == "union_tag_invalid":
        tags = [tag.strip(" '") for tag in detail["ctx"]["expected_tags"].split(",")]
        return (
            f"method {detail['ctx']['tag']} is unknown; allowed: {', '.join(tags)}{nearest(detail['ctx']['tag'], tags)}"
        )
    if kind == "union_tag_not_found":
        return "method is missing; every arm names its method"
    rule = detail["msg"].replace("Input should be", "allowed:").replace("Value error, ", "")
    return f"found {found!r}; {rule}"


def _owner(model: type[BaseModel] | None, location: Location, raw: Any) -> tuple[type[BaseModel] | None, Location]:
    """The model whose field is at fault, and the path as it stands in the file (union tags left out)."""
    annotation: Any = model
    owner, path = model, []
    for step in location:
        annotation = _plain(annotation)
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


def _has(raw: Any, step: str | int) -> bool:
    if isinstance(raw, Mapping):
        return step in raw
    return isinstance(raw, list) and isinstance(step, int) and step < len(raw)


def _plain(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _members(annotation: Any) -> list[type[BaseModel]]:
    return [m for m in get_args(annotation) if isinstance(m, type) and issubclass(m, BaseModel)]


def _method(member: type[BaseModel]) -> str | None:
    field = member.model_fields.get("method")
    values = get_args(field.annotation) if field and get_origin(field.annotation) is typing.Literal else ()
    return values[0] if values else None


def _tagged(annotation: Any, step: str | int) -> type[BaseModel] | None:
    return next((member for member in _members(annotation) if _method(member) == step), None)


def _member(annotation: Any, raw: Any) -> Any:
    tag = raw.get("method") if isinstance(raw, Mapping) else None
    return _tagged(annotation, tag) or annotation
