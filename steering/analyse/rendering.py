"""A chart as a web page embeds it, and as a picture on white paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import vl_convert

VEGA_LITE = "6.4"
PNG_WIDTH = 660
PAPER = {
    "view": {"stroke": None},
    "axis": {
        "domainColor": "#c9ced6",
        "tickColor": "#c9ced6",
        "gridColor": "#e9ecf0",
        "labelColor": "#4b5361",
        "titleColor": "#4b5361",
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titlePadding": 10,
    },
    "legend": {
        "labelColor": "#2a303a",
        "labelFontSize": 12,
        "layout": {"top": {"direction": "vertical", "anchor": "start"}},
    },
}


DIGITS = 6
"""What a drawn number keeps: more than a screen shows, in fewer bytes."""


def specification(chart: Any) -> dict[str, Any]:
    """The Vega-Lite specification of *chart* for a web page: as wide as its place, in the colours of the page."""
    told = dict(chart.to_dict())
    return {**told, "datasets": _rounded(told["datasets"])} if "datasets" in told else told


def _rounded(value: Any) -> Any:
    """*value* with every broken number in it at DIGITS significant digits; whole ones are counts."""
    if isinstance(value, float):
        return value if value.is_integer() else float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {name: _rounded(own) for name, own in value.items()}
    return [_rounded(own) for own in value] if isinstance(value, list) else value


def save_png(chart: Any, path: Path) -> None:
    """Write *chart* to *path* as a PNG on white, at twice the usual sharpness."""
    spec = specification(chart) | {"background": "white", "padding": 16}
    spec |= {} if "facet" in spec else {"width": PNG_WIDTH}
    spec["config"] = spec.get("config", {}) | PAPER
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(vl_convert.vegalite_to_png(spec, vl_version=VEGA_LITE, scale=2))
