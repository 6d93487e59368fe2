"""The connector stage pretrains any connector on captions, and hands over one that has nothing to train."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_world import MODEL, PRETRAIN, put_conversations, put_parts

from stages import check
from stages.connector import main
from steering import layout
from steering.data.features import Features
from steering.data.shards import ImageArchive, write_images
from steering.errors import ParamsError
from steering.manifest import read_json
from steering.metrics_log import read_metrics

OUT = layout.connector("tiny", 0)


@pytest.fixture
def content(pictures, put_manifest, make_language_model, tokenizer) -> dict[str, Any]:
    put_parts(make_language_model(), tokenizer, put_manifest)
    put_conversations(put_manifest)
    return {**MODEL, "pretrain": PRETRAIN}


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("mlp2_norm", {}),
        ("resampler", {"queries": 3, "heads": 2}),
        ("qformer", {"queries": 3, "layers": 1, "heads": 2}),
    ],
)
def test_a_connector_is_trained_on_the_features(content, kind, settings):
    main(content | {"connector": kind, "connector_settings": settings})
    saved, features = load_file(OUT / "connector.safetensors"), Features(layout.features("tiny", "pictures"))
    assert torch.equal(saved["mean"], features.mean)
    assert [line["step"] for line in read_metrics(OUT / "metrics.jsonl")] == [1, 2, 3]
    assert read_json(OUT / "manifest.json")["trainable_connector"] == sum(
        tensor.numel() for name, tensor in saved.items() if name not in ("mean", "std")
    )


def test_identity_is_delivered_untrained(content):
    vision = MODEL["vision_encoder"] | {"width": 32}
    main(content | {"connector": "identity", "vision_encoder": vision, "pretrain": PRETRAIN | {"warm_start": None}})
    assert read_metrics(OUT / "metrics.jsonl") == []
    assert read_json(OUT / "manifest.json")["trainable_connector"] == 0


def test_captions_of_excluded_pictures_are_left_out_and_counted(content, put_manifest, capsys):
    folder = layout.dataset("tiny", "pictures")
    archive = ImageArchive(folder)
    write_images(folder, [(name, b"" if name == "train/1.png" else archive.read(name)) for name in archive.names()])
    check.main({"world": "tiny", "name": "pictures", "faulty_pictures": "exclude"})
    put_conversations(put_manifest)
    main(content)
    assert read_json(OUT / "manifest.json")["left_out"] == {"pictures/captions.json": 1}
    assert "pictures/captions.json 1" in capsys.readouterr().out


def test_pretraining_trains_no_encoder_layers(content):
    recipe = PRETRAIN["recipe"] | {"encoder_layers": 1}
    with pytest.raises(ParamsError, match="encoder_layers: 1, but no vision encoder runs here"):
        main(content | {"pretrain": PRETRAIN | {"recipe": recipe}})


def test_pictures_are_seen_live_where_there_are_no_features(content):
    layout.features("tiny", "pictures").unlink()
    live = {"features": "live", "connector": "mlp2_gelu", "pretrain": PRETRAIN | {"warm_start": None}}
    main(content | live)
    saved = load_file(OUT / "connector.safetensors")
    assert not saved["mean"].any()
    assert [line["step"] for line in read_metrics(OUT / "metrics.jsonl")] == [1, 2, 3]
    assert set(read_json(OUT / "manifest.json")["inputs"]) == {"captions", "check", "base", "vision"}
