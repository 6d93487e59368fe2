"""Everything that writes a data set's files from its sources: the embedded world's builders, the papers' converters."""

from __future__ import annotations

from steering.data.converters import CONVERTERS, Converter
from steering.data.embedded import BUILDERS
from steering.data.evaluation import EVALUATION

ALL: dict[str, Converter] = {**BUILDERS, **CONVERTERS, **EVALUATION}
"""name -> build(sources: name -> file or folder, out, settings) -> facts for the manifest."""
