"""Connectors by kind: visual features to word-embedding space; a new one is one small file and one row here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from pathlib import Path

from safetensors.torch import load_file, save_file

from steering.errors import CheckpointError, ParamsError, nearest
from steering.model.connectors import identity, linear, mlp2_gelu, mlp2_norm, qformer, resampler
from steering.model.connectors.connector import Connector

CONNECTORS: dict[str, Callable[..., Connector]] = {
    "identity": identity.build,
    "linear": linear.build,
    "mlp2_gelu": mlp2_gelu.build,
    "mlp2_norm": mlp2_norm.build,
    "resampler": resampler.build,
    "qformer": qformer.build,
}
"""A builder's keywords with a default are the kind's settings."""


def build_connector(
    kind: str, *, width: int, hidden: int, scale: float = 1.0, settings: Mapping[str, int] | None = None
) -> Connector:
    """A fresh connector from *width* features to *hidden* wide tokens of about *scale* standard deviation.

    Only mlp2_norm heeds the scale. Raises ParamsError for an unknown kind or setting, and for sizes that do not fit.
    """
    if kind not in CONNECTORS:
        allowed = f"allowed: {', '.join(CONNECTORS)}{nearest(kind, CONNECTORS)}"
        raise ParamsError([f"connector: {kind} is unknown; {allowed}"])
    if faults := _setting_faults(kind, settings or {}):
        raise ParamsError(faults)
    return CONNECTORS[kind](width, hidden, scale=scale, **(settings or {}))


def _setting_faults(kind: str, settings: Mapping[str, int]) -> list[str]:
    parameters = signature(CONNECTORS[kind]).parameters.values()
    known = [p.name for p in parameters if p.default is not Parameter.empty]
    takes = ", ".join(known) or "no settings"
    strange = [name for name in settings if name not in known]
    small = [name for name in settings if name in known and settings[name] < 1]
    return [f"connector_settings.{name}: unknown; {kind} takes {takes}{nearest(name, known)}" for name in strange] + [
        f"connector_settings.{name}: {settings[name]}; allowed 1 or more" for name in small
    ]


def save_connector(connector: Connector, path: Path) -> None:
    save_file({name: tensor.contiguous() for name, tensor in connector.state_dict().items()}, path)


def load_connector(connector: Connector, path: Path) -> Connector:
    """Raises CheckpointError when *path* holds another connector."""
    state = load_file(path)
    expected = {name: tuple(tensor.shape) for name, tensor in connector.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if expected != found:
        raise CheckpointError(f"{path}: holds another connector; expected {expected}, found {found}")
    connector.load_state_dict(state)
    return connector


__all__ = ["CONNECTORS", "Connector", "build_connector", "load_connector", "save_connector"]
