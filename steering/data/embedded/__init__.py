"""The embedded world's data sets: real icons, flags, facts and a published VQA set, in official file formats.

A builder is `build(sources, out, settings) -> facts for the manifest`; sources: name -> wheel. Same settings and
wheels, same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from steering.data.embedded import countries, easy_vqa, icons

Builder = Callable[[Mapping[str, Path], Path, Mapping[str, Any]], dict[str, Any]]
BUILDERS: dict[str, Builder] = {"icons": icons.build, "easy_vqa": easy_vqa.build, "countries": countries.build}
