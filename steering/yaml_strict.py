"""YAML without surprises: a duplicate key is a fault, 1e-3 is a number, only true and false are booleans, no tags."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from steering.errors import ParamsError

NUMBER = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|^[-+]?\.inf$|^\.nan$")
INTEGER = re.compile(r"^[-+]?[0-9]+$")
BOOLEAN = re.compile(r"^(true|false)$")
MERGE = "tag:yaml.org,2002:merge"


class StrictLoader(yaml.SafeLoader):
    """The safe loader with YAML 1.2's scalars; faults are gathered, not raised one by one."""

    def __init__(self, stream: str):
        super().__init__(stream)
        self.faults: list[str] = []

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if getattr(event, "tag", None):
            self.faults.append(f"line {event.start_mark.line + 1}: found the tag {event.tag}; plain YAML is allowed")
            event.tag = None
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == MERGE:
                continue
            key, line = key_node.value, key_node.start_mark.line + 1
            if key in seen:
                self.faults.append(f"line {line}: {key} is given twice (first on line {seen[key]}); once is allowed")
            seen.setdefault(key, line)
        return super().construct_mapping(node, deep=deep)


StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in ("tag:yaml.org,2002:null", MERGE)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
StrictLoader.add_implicit_resolver("tag:yaml.org,2002:bool", BOOLEAN, list("tf"))
StrictLoader.add_implicit_resolver("tag:yaml.org,2002:int", INTEGER, list("-+0123456789"))
StrictLoader.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("-+.0123456789"))
StrictLoader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))
StrictLoader.add_constructor(
    "tag:yaml.org,2002:float", lambda _, node: float(node.value.replace(".inf", "inf").replace(".nan", "nan"))
)


def load_yaml(path: Path) -> dict[str, Any]:
    """The mapping in *path*. Raises ParamsError naming every fault with its line."""
    loader = StrictLoader(_text(path))
    try:
        value = loader.get_single_data()
    except yaml.YAMLError as error:
        raise ParamsError([f"{path}: {_one_line(error)}"]) from None
    finally:
        loader.dispose()
    if loader.faults:
        raise ParamsError(f"{path}: {fault}" for fault in loader.faults)
    if not isinstance(value, dict):
        raise ParamsError(
            [f"{path}: {'empty' if value is None else 'not a mapping'}; worlds, arms and experiments belong here"]
        )
    return value


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ParamsError([f"{path}: no such file; run from the project's root or name another file"]) from None
    except UnicodeDecodeError as error:
        raise ParamsError([f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8"]) from None


def _one_line(error: yaml.YAMLError) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return where + (problem or str(error).splitlines()[0])
