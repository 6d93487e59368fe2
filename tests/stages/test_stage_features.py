"""The features stage encodes every picture once, or names the picture that cannot be read; nothing half is left."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from stages import check
from stages.features import main
from steering import layout
from steering.data.features import Features
from steering.data.shards import ImageArchive, write_images
from steering.errors import DataError
from steering.model.encoders import VisionEncoder

ENCODER = {"kind": "efficientnet_lite0", "config": {"image_size": 8}}
OUT = layout.features("tiny", "pictures")


class Colours(VisionEncoder):
    """One visual token a picture: its mean colour."""

    image_size, mean, std = 8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.mean((2, 3)).unsqueeze(1)  # (n, 1, 3)


@pytest.fixture
def content(pictures, put_manifest, monkeypatch) -> dict[str, Any]:
    folder = layout.vision_encoder("eye")
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    put_manifest(folder)
    monkeypatch.setattr("steering.model.encoders.load_encoder", lambda *_, **__: Colours())
    return {"world": "tiny", "dataset": "pictures", "name": "eye", "encoder": ENCODER}


def test_every_picture_has_features(content):
    main(content)
    archive, features = ImageArchive(layout.dataset("tiny", "pictures")), Features(OUT)
    red = features.of(archive.identity("train/0.png"))
    assert torch.equal(red, torch.tensor([[1.0, 0.0, 0.0]]).half())
    assert len({archive.identity(name) for name in archive.names()}) == 6


def test_statistics_are_of_the_training_pictures(content):
    main(content)
    assert torch.allclose(Features(OUT).mean, torch.tensor([1.0, 128 / 255, 1.0]) / 3, atol=1e-3)


@pytest.mark.parametrize("broken", [b"", b"GIF89a", "half"])
def test_a_broken_picture_is_named_and_leaves_no_features(content, broken):
    folder = layout.dataset("tiny", "pictures")
    archive = ImageArchive(folder)
    items = [(name, archive.read(name)) for name in archive.names()]
    bad = items[1][1][:60] if broken == "half" else broken
    write_images(folder, [items[0], ("train/1.png", bad), *items[2:]])
    with pytest.raises(DataError, match=r"images-00000\.tar: train/1\.png: not a readable picture"):
        main(content)
    assert list(OUT.parent.iterdir()) == []


def test_a_picture_that_the_check_leaves_out_is_not_encoded(content):
    folder = layout.dataset("tiny", "pictures")
    archive = ImageArchive(folder)
    items = [(name, b"" if name == "train/1.png" else archive.read(name)) for name in archive.names()]
    write_images(folder, items)
    check.main({"world": "tiny", "name": "pictures", "faulty_pictures": "exclude"})
    main(content)
    archive, features = ImageArchive(folder), Features(OUT)
    assert archive.identity("train/1.png") not in features
    assert all(archive.identity(name) in features for name in archive.names() if name != "train/1.png")
    assert torch.allclose(features.mean, torch.tensor([0.5, 0.0, 0.5]))  # red and blue


def test_no_picture_that_can_be_used_is_told(content):
    folder = layout.dataset("tiny", "pictures")
    write_images(folder, [("train/0.png", b"")])
    check.main({"world": "tiny", "name": "pictures", "faulty_pictures": "exclude"})
    with pytest.raises(DataError, match="data/tiny/pictures: no picture that can be used"):
        main(content)


def test_a_cut_off_archive_names_the_picture_it_lacks(content):
    path = layout.dataset("tiny", "pictures") / "images-00000.tar"
    entry = ImageArchive(path.parent)._entry("test/2.png")
    path.write_bytes(path.read_bytes()[: entry.offset + 5])
    with pytest.raises(DataError, match=r"images-00000\.tar: test/2\.png: damaged \(5 of \d+ bytes"):
        main(content)


def test_damaged_weights_of_the_encoder_are_found_first(content):
    (layout.vision_encoder("eye") / "model.safetensors").write_bytes(b"weighty")
    with pytest.raises(DataError, match=r"model\.safetensors: damaged"):
        main(content)
