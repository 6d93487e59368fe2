"""The factory's parts by name: all that a world, an arm or a benchmark of params.yaml can be made of.

Read from the registries themselves, which are imported only when asked for: those of models need torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import Parameter, signature
from typing import Any, get_args

from steering.arms import Arm
from steering.families import FAMILIES
from steering.params import Params

Row = dict[str, Any]


def parts(params: Params) -> dict[str, list[Row]]:
    """Kind of part -> its parts, each with a name; plain builtins, ready for JSON."""
    return {
        "language_families": [{"name": family.model_type, "models": family.about} for family in FAMILIES.values()],
        "language_models": list(_language_models(params)),
        "vision_kinds": [{"name": kind} for kind in _registry("steering.model.encoders", "ENCODERS")],
        "vision_encoders": list(_vision_encoders(params)),
        "connectors": list(_connectors()),
        "methods": list(_methods()),
        "templates": list(_templates()),
        "benchmark_forms": list(_forms()),
        "builders": [{"name": name} for name in _registry("steering.data.builders", "ALL")],
    }


def _registry(module: str, name: str) -> dict[str, Any]:
    from importlib import import_module

    return getattr(import_module(module), name)


def _language_models(params: Params) -> Iterator[Row]:
    for name, model in params.language_models.items():
        yield {"name": name, "family": model.config.model_type, "parameters": model.shape.parameters}


def _vision_encoders(params: Params) -> Iterator[Row]:
    for name, encoder in params.vision_encoders.items():
        yield {"name": name, "kind": encoder.kind, "tokens": encoder.tokens, "width": encoder.width}


def _connectors() -> Iterator[Row]:
    for name, build in _registry("steering.model.connectors", "CONNECTORS").items():
        yield {"name": name, "settings": _keywords(build)}


def _keywords(build: Callable[..., Any]) -> Row:
    """The keywords of a builder that have a default: its settings."""
    given = signature(build).parameters.values()
    return {keyword.name: keyword.default for keyword in given if keyword.default is not Parameter.empty}


def _methods() -> Iterator[Row]:
    for settings in get_args(get_args(Arm)[0]):
        fields = {name: field.default for name, field in settings.model_fields.items()}
        about = (settings.__doc__ or "").split("\n\n")[0]
        yield {"name": fields.pop("method"), "about": " ".join(about.split()), "settings": fields}


def _templates() -> Iterator[Row]:
    for name, template in _registry("steering.data.templates", "TEMPLATES").items():
        written = "<picture>".join((template.opening, f"{template.before}{'question' if template.asks else ''}"))
        yield {
            "name": name,
            "text": f"{written}{template.after}{template.lead}answer{template.closing}{template.again}",
        }
    yield {"name": "tokenizer", "text": "the chat template of the language model's own tokenizer"}


def _forms() -> Iterator[Row]:
    for name, form in _registry("steering.evaluate.benchmarks", "FORMS").items():
        yield {"name": name, "metric": form.metric, "version": form.version}
