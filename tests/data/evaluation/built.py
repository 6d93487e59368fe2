"""What a builder of a benchmark makes of downloads, and the bytes it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from steering.data.builders import ALL
from steering.data.evaluation import EVALUATION


def build(name: str, downloads: dict[str, Path], out: Path, **settings: Any) -> dict[str, Any]:
    """Build with all sources that the splits can use."""
    builder = EVALUATION[name]
    splits = [one.strip() for one in str(settings.get("splits", builder.default)).split(",")]
    taken = (*builder.needed(splits), *builder.optional)
    return ALL[name]({source: downloads[source] for source in taken if source in downloads}, out, settings)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
