"""The vision encoder stage puts encoders side by side from the folders of its parts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_world import EYE

from stages.vision_encoder import main
from steering import layout
from steering.errors import DataError
from steering.manifest import read_json
from steering.model.encoders import build_encoder, load_encoder, save_weights

PARTS: list[dict[str, Any]] = [
    {"name": "left", "kind": "clip", "config": EYE},
    {"name": "right", "kind": "siglip", "config": EYE},
]
ROW = {"kind": "side_by_side", "config": {}, "parts": PARTS, "tokens": 16, "width": 32}


@pytest.fixture
def content(here, put_manifest) -> dict[str, Any]:
    for number, part in enumerate(PARTS):
        folder = layout.vision_encoder(part["name"])
        folder.mkdir(parents=True)
        torch.manual_seed(number)
        save_weights(build_encoder(part["kind"], EYE).state_dict(), folder / "model.safetensors")
        put_manifest(folder)
    return {"name": "both", "encoder": ROW}


def test_each_part_keeps_its_own_weights(content):
    main(content)
    folder = layout.vision_encoder("both")
    joined: Any = load_encoder("side_by_side", {}, folder, parts=PARTS)
    for own, part in zip(joined.parts, PARTS, strict=True):
        alone = load_encoder(part["kind"], EYE, layout.vision_encoder(part["name"])).state_dict()
        assert all(torch.equal(tensor, alone[name]) for name, tensor in own.state_dict().items())
    assert set(read_json(folder / "manifest.json")["inputs"]) == {"left", "right"}


def test_a_damaged_part_is_named(content):
    (layout.vision_encoder("right") / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(DataError, match=r"right/model\.safetensors: damaged"):
        main(content)
