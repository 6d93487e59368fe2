"""Things in icon scenes: their names, and their boxes as fractions of the picture."""

from __future__ import annotations

import json
from pathlib import Path

from steering.data.embedded.objects import Thing, things


def test_boxes_are_fractions_and_empty_cells_show_nothing(tmp_path: Path) -> None:
    scene = {"cells": ["cat", None, None, "bus"], "boxes": [[0, 16, 32, 64], None, None, [64, 64, 128, 128]]}
    (tmp_path / "scenes.json").write_text(json.dumps({"test/0.png": scene}))
    assert things(tmp_path) == {
        "test/0.png": [
            Thing(("cat", "cats", "top left"), (0, 0.125, 0.25, 0.5)),
            Thing(("bus", "buses", "bottom right"), (0.5, 0.5, 1, 1)),
        ]
    }


def test_a_data_set_that_tells_no_scenes_has_no_boxes(tmp_path: Path) -> None:
    assert things(tmp_path) is None
